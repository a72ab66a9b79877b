"""Partners, the taking-in of their files, and what is needed to take it back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone

from partner_feeds.reading.formats import names as formats
from partner_feeds.reading.mappings import MAPPINGS
from partner_feeds.reading.options import DECIMAL_SIGNS, ENCODINGS, Options
from products.models import Category
from retail.references import random_reference

new_ingestion_reference = partial(random_reference, "FD")
_OPEN = ("READING", "HELD", "APPLYING")
_ENDED = ("DONE", "UNCHANGED", "FAILED", "DISCARDED")


def _is_name(column: object) -> bool:
    return isinstance(column, str) and bool(column.strip())


class Partner(models.Model):
    """Who delivers products, and how its files are read."""

    class Absent(models.TextChoices):
        """What it means that a product is not in a file."""

        KEEP = "keep", "nothing"
        SOLD_OUT = "sold_out", "the partner has none"

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(max_length=40, unique=True)
    is_active = models.BooleanField(default=True, help_text="feeds are taken in")
    format = models.CharField(max_length=10, default="csv")
    mapping = models.CharField(max_length=20, default="plain", help_text="what the columns are")
    columns = models.JSONField(
        default=dict,
        blank=True,
        help_text='columns with other names, by field: {"sku": "item_sku", "price": "cost"}',
    )
    encoding = models.CharField(
        max_length=20, blank=True, help_text="empty: UTF-8, or what an XML file declares"
    )
    decimal_sign = models.CharField(max_length=1, default=".")
    delimiter = models.CharField(max_length=1, blank=True, help_text="empty: found by the header")
    currency_symbol = models.CharField(max_length=4, blank=True, help_text="allowed in prices")
    ignore_case = models.BooleanField(
        default=False, help_text="keys that differ only by case are the same"
    )
    negative_stock_is_zero = models.BooleanField(
        default=False, help_text="otherwise rows with a stock below 0 are rejected"
    )
    absent = models.CharField(max_length=8, choices=Absent.choices, default=Absent.KEEP)
    category = models.ForeignKey(
        Category,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="of new products whose category the shop does not have",
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse settings that no file could be read with."""
        choices = {
            "format": formats(),
            "mapping": sorted(MAPPINGS),
            "encoding": ["", *ENCODINGS],
            "decimal_sign": list(DECIMAL_SIGNS),
        }
        errors = {
            name: f"Choose one of {', '.join(filter(None, allowed))}."
            for name, allowed in choices.items()
            if getattr(self, name) not in allowed
        }
        if errors:
            raise ValidationError(errors)
        if not isinstance(self.columns, dict) or not all(map(_is_name, self.columns.values())):
            raise ValidationError({"columns": "It must be an object of fields and column names."})
        try:
            self.options()
        except ValueError as error:
            raise ValidationError(str(error)) from error

    def options(self) -> Options:
        """Return how its files are read. Raises ValueError for wrong columns."""
        mapping = MAPPINGS[self.mapping]
        if self.columns:
            own = {field: (column,) for field, column in self.columns.items()}
            mapping = replace(mapping, name=self.slug, fields={**mapping.fields, **own})
        return Options(
            format=self.format,
            mapping=mapping,
            currency=settings.CURRENCY,
            encoding=self.encoding,
            decimal_sign=self.decimal_sign,
            delimiter=self.delimiter,
            symbol=self.currency_symbol,
            negative_stock_is_zero=self.negative_stock_is_zero,
        )

    def read_as(self) -> str:
        """Return a digest of all that decides what a file means."""
        names = (
            *("format", "mapping", "columns", "encoding", "decimal_sign", "delimiter"),
            *("currency_symbol", "ignore_case", "negative_stock_is_zero", "absent", "category_id"),
        )
        settings_now = [getattr(self, name) for name in names]
        return hashlib.sha256(json.dumps(settings_now, sort_keys=True).encode()).hexdigest()

    def key(self, sku: str) -> str:
        """Return the key under which a product is stored."""
        return sku.casefold() if self.ignore_case else sku


class Ingestion(models.Model):
    """The taking-in of one file, or its taking-back. Changes only along INGESTION_TRANSITIONS."""

    class Status(models.TextChoices):
        """Status of an ingestion."""

        READING = "READING", "Reading"
        HELD = "HELD", "Held"
        APPLYING = "APPLYING", "Applying"
        DONE = "DONE", "Done"
        UNCHANGED = "UNCHANGED", "Same file as before"
        FAILED = "FAILED", "Failed"
        DISCARDED = "DISCARDED", "Discarded"

    reference = models.CharField(
        max_length=20, unique=True, default=new_ingestion_reference, editable=False
    )
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="ingestions")
    takes_back = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="taken_back_by"
    )
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.READING)
    file_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the file")
    read_as = models.CharField(max_length=64, blank=True, help_text="digest of the settings")
    file_bytes = models.BigIntegerField(default=0)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    request_id = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    absent = models.PositiveIntegerField(default=0, help_text="products that were not in the file")
    code = models.CharField(max_length=20, blank=True, help_text="why it failed")
    problem = models.CharField(max_length=300, blank=True)
    held_for = models.JSONField(default=list, blank=True, help_text="limits that it exceeds")
    applied_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True, help_text="why it was applied anyway")
    created_at = models.DateTimeField(default=timezone.now)
    alive_at = models.DateTimeField(default=timezone.now, help_text="last sign of its reader")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["partner"],
                condition=Q(status__in=_OPEN),
                name="ingestion_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_OPEN, finished_at=None)
                | Q(status__in=_ENDED, finished_at__isnull=False),
                name="ingestion_finished_when_ended",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["partner", "-created_at"], name="ingestion_of_partner"),
        ]

    def __str__(self) -> str:
        return self.reference


_S = Ingestion.Status
INGESTION_TRANSITIONS: dict[str, frozenset[str]] = {
    _S.READING: frozenset({_S.HELD, _S.APPLYING, _S.UNCHANGED, _S.FAILED}),
    _S.HELD: frozenset({_S.APPLYING, _S.DISCARDED}),
    _S.APPLYING: frozenset({_S.DONE}),
    **dict.fromkeys((_S.DONE, _S.UNCHANGED, _S.FAILED, _S.DISCARDED), frozenset()),
}


class StagedRow(models.Model):
    """A row that was read and is not applied yet. It is deleted by the commit that applies it."""

    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="staged")
    line = models.PositiveIntegerField()
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=120, null=True)  # noqa: DJ001 - null: the row says nothing
    description = models.TextField(null=True)  # noqa: DJ001
    category = models.CharField(max_length=60, null=True)  # noqa: DJ001
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

    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="rejects")
    line = models.PositiveIntegerField()
    code = models.CharField(max_length=20)
    sentence = models.CharField(max_length=300)
    cells = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["ingestion", "line"], name="reject_by_line")]

    def __str__(self) -> str:
        return f"{self.line}: {self.sentence}"


class AppliedChange(models.Model):
    """What an ingestion changed in a product: enough to take it back."""

    ingestion = models.ForeignKey(Ingestion, on_delete=models.CASCADE, related_name="changes")
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
