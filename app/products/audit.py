"""The stock's promises, from its ledger (declared as in retail/audit/declare.py).

A look adds up movements that are there for good, chunk by chunk, and keeps each product's sum in
the checkpoint. The younger ones are added by the very statement that reads the stock, so that a
sale in between is in both or in neither.
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

CHUNK = 20_000  # movements summed up by one statement; fewer are not worth a new checkpoint
SECONDS = 20  # for one statement


@invariant("ledger_equals_stock")
def ledger_equals_stock(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for products whose stock is not the sum of their movements."""

    def judge(product_id: int, stock: int, ledger: int) -> Violation | None:
        if stock == ledger:
            return None
        return Violation(str(product_id), f"stock {stock}, movements sum to {ledger}")

    return _look(checkpoint, judge)


@invariant("sold_within_offered")
def sold_within_offered(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for products of which more was sold than was ever put on sale.

    What was put on sale less what was sold is the sum of all movements, whatever the stock says.
    """

    def judge(product_id: int, _stock: int, ledger: int) -> Violation | None:
        if ledger >= 0:
            return None
        detail = f"{-ledger} more sold than were ever put on sale"
        return Violation(str(product_id), detail, amount=-ledger)

    return _look(checkpoint, judge)


def _look(
    checkpoint: Checkpoint, judge: Callable[[int, int, int], Violation | None]
) -> Iterator[Part]:
    through: int = checkpoint.get("through", 0)
    sums: dict[str, int] = dict(checkpoint.get("sums", {}))
    settled = settled_before()
    while True:
        chunk = StockMovement.objects.filter(pk__gt=through).order_by("pk")[:CHUNK]
        with bounded_read(SECONDS):
            seen = chunk.aggregate(count=Count("pk"), last=Max("pk"), newest=Max("created_at"))
            if seen["count"] < CHUNK or seen["newest"] >= settled:
                break
            whole = StockMovement.objects.filter(pk__gt=through, pk__lte=seen["last"])
            moved = list(whole.values_list("product_id").annotate(Sum("quantity")).order_by())
        for product_id, quantity in moved:
            sums[str(product_id)] = sums.get(str(product_id), 0) + quantity
        through = seen["last"]
        yield Part(CHUNK, (), {"through": through, "sums": sums})
    younger = FilteredRelation("movements", condition=Q(movements__pk__gt=through))
    products = Product.objects.annotate(
        younger=younger, added=Coalesce(Sum("younger__quantity"), 0), count=Count("younger")
    )
    with bounded_read(SECONDS):
        rows = list(products.order_by("pk").values_list("pk", "stock", "added", "count"))
    judged = [judge(pk, stock, sums.get(str(pk), 0) + added) for pk, stock, added, _ in rows]
    violations = [violation for violation in judged if violation is not None]
    checked = sum(count for *_, count in rows)
    yield Part(checked, violations, {"through": through, "sums": sums} if through else {})
