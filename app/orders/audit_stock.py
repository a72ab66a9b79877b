"""Invariants that compare orders with the stock ledger."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Sum

from orders.audit import CHUNK, invariant_of_sales, rows_of
from orders.models import Sale
from products.models import StockMovement
from retail.audit.declare import (
    EACH_RUN,
    MOST_OPEN,
    OVERSOLD,
    Checkpoint,
    Part,
    Violation,
    invariant,
)
from retail.audit.ranges import SECONDS, ranges
from retail.db.reads import bounded_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import QuerySet

_SOLD_OR_BACK = (StockMovement.Reason.SALE, StockMovement.Reason.RETURN)

_MOVED = """
    SELECT reference, status, product_id, sum(ordered), sum(taken), sum(returned)
    FROM (
        SELECT sale.reference, sale.status, line.product_id,
            line.quantity AS ordered, 0 AS taken, 0 AS returned
        FROM orders_sale sale JOIN orders_saleitem line ON line.sale_id = sale.id
        WHERE sale.id {ids} AND line.sale_id {ids}
        UNION ALL
        SELECT sale.reference, sale.status, movement.product_id, 0,
            CASE movement.reason WHEN 'sale' THEN -movement.quantity ELSE 0 END,
            CASE movement.reason WHEN 'return' THEN movement.quantity ELSE 0 END
        FROM orders_sale sale
        JOIN products_stockmovement movement ON movement.reference = sale.reference
        WHERE sale.id {ids} AND movement.reason IN ('sale', 'return')
    ) record
    GROUP BY reference, status, product_id
    HAVING sum(ordered) <> sum(taken) OR sum(returned)
        <> CASE WHEN status IN ('FAILED', 'CANCELLED') THEN sum(ordered) ELSE 0 END
    ORDER BY reference, product_id LIMIT {most}
"""


@invariant_of_sales("movements_match_order")
def movements_match_order(ids: str) -> list[Violation]:
    """Find orders that took other stock than their lines, or did not return it as they ended.

    A failed or cancelled order returns all its units once; others return none.
    """
    violations = []
    for (reference, status), rows in groupby(rows_of(_MOVED, ids), key=itemgetter(0, 1)):
        products = [
            f"product {product}: {ordered} ordered, {taken} taken, {returned} returned"
            for _, _, product, ordered, taken, returned in rows
        ]
        violations.append(Violation(reference, f"{status}, {'; '.join(products)}"))
    return violations


def _without_order(movements: QuerySet[StockMovement]) -> list[Violation]:
    order = Sale.objects.filter(reference=OuterRef("reference"))
    found = movements.filter(~Exists(order), reason__in=_SOLD_OR_BACK).order_by("pk")
    with bounded_read(SECONDS):
        return [
            Violation(
                str(row.pk),
                f"{row.reason} of {abs(row.quantity)} of product {row.product_id}, "
                f"no order {row.reference or 'named'}",
            )
            for row in found[:MOST_OPEN]
        ]


def movement_has_order_of(ids: list[str]) -> list[Violation]:
    """Recheck which of these movements belong to no order."""
    return _without_order(StockMovement.objects.filter(pk__in=[int(pk) for pk in ids]))


@invariant("movement_has_order", recheck=movement_has_order_of, full_every=EACH_RUN)
def movement_has_order(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find units sold or returned in the stock ledger by no order."""
    movements = StockMovement.objects.all()
    for rows in ranges(movements, checkpoint.get("done", 0), chunk=CHUNK):
        violations = _without_order(movements.filter(pk__gte=rows.first, pk__lte=rows.last))
        yield Part(rows.size, violations, rows.checkpoint, rows.end)


_SOLD = """
    SELECT line.product_id, sum(line.quantity)
    FROM orders_sale sale JOIN orders_saleitem line ON line.sale_id = sale.id
    WHERE sale.id {ids} AND line.sale_id {ids} AND sale.status = 'CONFIRMED'
    GROUP BY line.product_id
"""


@invariant(OVERSOLD, full_every=EACH_RUN)
def sold_within_offered(checkpoint: Checkpoint) -> Iterator[Part]:
    """Find products of which paid orders have more units than were ever offered.

    Units are offered by any movement but a sale or a return. They are read after the orders, so
    that a unit sold during the scan has been counted as offered. The checkpoint has the units sold
    up to an order, by product.
    """
    sold: dict[str, int] = dict(checkpoint.get("sold", {}))
    next_scan = checkpoint
    for rows in ranges(Sale.objects.all(), checkpoint.get("done", 0), chunk=CHUNK):
        for product, units in rows_of(_SOLD, rows.condition):
            sold[str(product)] = sold.get(str(product), 0) + int(units)
        if rows.done == rows.last:
            next_scan = {"done": rows.done, "sold": dict(sold)}
        yield Part(rows.size, (), next_scan, rows.end)
    offers = StockMovement.objects.exclude(reason__in=_SOLD_OR_BACK)
    with bounded_read(SECONDS):
        offered = dict(offers.order_by().values_list("product_id").annotate(Sum("quantity")))
    over = {pk: units - offered.get(int(pk), 0) for pk, units in sold.items()}
    violations = [
        Violation(pk, f"{sold[pk]} sold, {sold[pk] - units} ever offered", amount=units)
        for pk, units in over.items()
        if units > 0
    ]
    yield Part(0, violations, next_scan)
