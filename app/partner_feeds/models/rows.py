"""Rows of a file: staged, rejected, and what they changed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from partner_feeds.models.ingestion import Ingestion
from products.models import Category

# Relations to the ingestion need no index of their own: each table has one that begins with it.


class StagedRow(models.Model):
    """A row that was read and is not applied yet. It is deleted by the commit that applies it."""

    ingestion = models.ForeignKey(
        Ingestion, on_delete=models.CASCADE, related_name="staged", db_index=False
    )
    line = models.PositiveIntegerField()
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=120, null=True)  # noqa: DJ001 - null: the row says nothing
    description = models.TextField(null=True)  # noqa: DJ001
    # Without a constraint: a category that is deleted before the row is applied is none.
    category = models.ForeignKey(
        Category,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    ean = models.CharField(max_length=14, null=True)  # noqa: DJ001
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    stock = models.IntegerField(null=True)
    offered = models.BooleanField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["ingestion", "sku"], name="staged_by_key")]

    def __str__(self) -> str:
        return f"{self.ingestion_id}: {self.sku}"

    def cells(self) -> dict[str, Any]:
        """Return what a rejected row shows of it."""
        return {name: getattr(self, name) for name in ("sku", "name", "price", "stock")}


class RejectedRow(models.Model):
    """A row that was not taken, with the partner's own cells."""

    ingestion = models.ForeignKey(
        Ingestion, on_delete=models.CASCADE, related_name="rejects", db_index=False
    )
    line = models.PositiveIntegerField()
    code = models.CharField(max_length=20)
    sentence = models.CharField(max_length=300)
    # Pairs of name and value: jsonb would not keep the names in the order of the file.
    cells = models.JSONField(default=list, encoder=DjangoJSONEncoder)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["ingestion", "line"], name="reject_by_line")]

    def __str__(self) -> str:
        return f"{self.line}: {self.sentence}"

    def by_name(self) -> dict[str, Any]:
        """Return its cells by their names, in the order of the file."""
        return dict(self.cells)


class AppliedChange(models.Model):
    """What an ingestion changed in a product: enough to take it back."""

    ingestion = models.ForeignKey(
        Ingestion, on_delete=models.CASCADE, related_name="changes", db_index=False
    )
    product = models.ForeignKey("products.Product", on_delete=models.CASCADE, related_name="+")
    is_new = models.BooleanField(default=False)
    units = models.IntegerField(default=0, help_text="by which the stock changed")
    before = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["ingestion", "product"], name="change_once")
        ]

    def __str__(self) -> str:
        return f"{self.ingestion_id}: {self.product_id}"
