"""Undo what a file changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import F
from django.utils import timezone

from partner_feeds.models import AppliedChange, Ingestion
from partner_feeds.staging import reject_rows
from products.offers import Change
from products.services import offers_take_back


def undo_some(ingestion: Ingestion, size: int) -> int:
    """Undo up to `size` changes of the file that a locked ingestion takes back; return how many."""
    undone = AppliedChange.objects.filter(ingestion=ingestion.takes_back)
    rows = list(undone.select_related("product").order_by("product")[:size])
    changes = {
        row.product_id: Change(row.is_new, row.units, _stored(row.before), _stored(row.after))
        for row in rows
    }
    refused = offers_take_back(changes=changes, reference=ingestion.reference)
    rejects = [
        (0, "changed_since", refused[row.product_id], _cells(row))
        for row in rows
        if row.product_id in refused
    ]
    reject_rows(ingestion, rejects)
    AppliedChange.objects.filter(pk__in=[row.pk for row in rows]).delete()
    Ingestion.objects.filter(pk=ingestion.pk).update(
        alive_at=timezone.now(),
        rows=F("rows") + len(rows),
        rejected=F("rejected") + len(rejects),
        updated=F("updated") + len(rows) - len(rejects),
    )
    return len(rows)


def _cells(row: AppliedChange) -> dict[str, Any]:
    return {"sku": row.product.sku, "name": row.product.name}


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Return values as they were before JSON had them."""
    return {
        name: Decimal(value) if name == "price" and value is not None else value
        for name, value in values.items()
    }
