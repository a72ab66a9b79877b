"""The invariant of the stock ledger (see retail/audit/declare.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from products.models import Product
from retail.audit.declare import Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS
from retail.db.reads import bounded_read

if TYPE_CHECKING:
    from collections.abc import Iterator


@invariant("ledger_equals_stock", full_every=None)
def ledger_equals_stock(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Find products whose stock differs from the sum of their movements.

    One statement reads both, so that a concurrent sale is counted in both or in neither.
    """
    products = Product.objects.annotate(
        ledger=Coalesce(Sum("movements__quantity"), 0), count=Count("movements")
    )
    with bounded_read(SECONDS):
        rows = list(products.order_by("pk").values_list("pk", "stock", "ledger", "count"))
    violations = [
        Violation(str(pk), f"stock {stock}, movements sum to {ledger}")
        for pk, stock, ledger, _ in rows
        if stock != ledger
    ]
    yield Part(sum(count for *_, count in rows), violations, {})
