"""Stock invariants, audited against the ledger (see retail/audit/declare.py).

A scan sums settled movements in chunks and stores each product's sum in the checkpoint. Newer
movements are summed in the statement that reads the stock, so that a concurrent sale is counted in
both or in neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Count, FilteredRelation, Max, Q, Sum
from django.db.models.functions import Coalesce

from products.models import Product, StockMovement
from retail.audit.declare import Checkpoint, Part, Violation, invariant
from retail.db.reads import bounded_read, settled_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 20_000  # movements summed by one statement; fewer do not advance the checkpoint
SECONDS = 20  # statement timeout


@invariant("ledger_equals_stock")
def ledger_equals_stock(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find products whose stock differs from the sum of their movements."""

    def check(product_id: int, stock: int, ledger: int) -> Violation | None:
        if stock == ledger:
            return None
        return Violation(str(product_id), f"stock {stock}, movements sum to {ledger}")

    return _scan(checkpoint, check)


@invariant("sold_within_offered")
def sold_within_offered(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find products with more units sold than were ever offered.

    Units offered minus units sold is the sum of all movements, whatever the stock column contains.
    """

    def check(product_id: int, _stock: int, ledger: int) -> Violation | None:
        if ledger >= 0:
            return None
        detail = f"{-ledger} more sold than ever offered"
        return Violation(str(product_id), detail, amount=-ledger)

    return _scan(checkpoint, check)


def _scan(
    checkpoint: Checkpoint, check: Callable[[int, int, int], Violation | None]
) -> Iterator[Part]:
    through: int = checkpoint.get("through", 0)
    sums: dict[str, int] = dict(checkpoint.get("sums", {}))
    settled = settled_before()
    while True:
        chunk = StockMovement.objects.filter(pk__gt=through).order_by("pk")[:CHUNK]
        with bounded_read(SECONDS):
            extent = chunk.aggregate(count=Count("pk"), last=Max("pk"), newest=Max("created_at"))
            if extent["count"] < CHUNK or extent["newest"] >= settled:
                break
            rows = StockMovement.objects.filter(pk__gt=through, pk__lte=extent["last"])
            totals = list(rows.values_list("product_id").annotate(Sum("quantity")).order_by())
        for product_id, quantity in totals:
            sums[str(product_id)] = sums.get(str(product_id), 0) + quantity
        through = extent["last"]
        yield Part(CHUNK, (), {"through": through, "sums": sums})
    newer = FilteredRelation("movements", condition=Q(movements__pk__gt=through))
    products = Product.objects.annotate(
        newer=newer, added=Coalesce(Sum("newer__quantity"), 0), count=Count("newer")
    )
    with bounded_read(SECONDS):
        stocks = list(products.order_by("pk").values_list("pk", "stock", "added", "count"))
    results = [check(pk, stock, sums.get(str(pk), 0) + added) for pk, stock, added, _ in stocks]
    violations = [violation for violation in results if violation is not None]
    checked = sum(count for *_, count in stocks)
    yield Part(checked, violations, {"through": through, "sums": sums} if through else {})
