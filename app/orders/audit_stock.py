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

_Reason = StockMovement.Reason
_OF_ORDERS = (_Reason.SALE, _Reason.RELEASE, _Reason.CANCEL)  # they have an order's reference

_MOVED = """
    SELECT reference, status, cancelled, product_id,
        sum(ordered), sum(taken), sum(released), sum(restocked)
    FROM (
        SELECT sale.reference, sale.status, sale.cancelled_at IS NOT NULL AS cancelled,
            line.product_id, line.quantity AS ordered, 0 AS taken, 0 AS released, 0 AS restocked
        FROM orders_sale sale JOIN orders_saleitem line ON line.sale_id = sale.id
        WHERE sale.id {ids} AND line.sale_id {ids}
        UNION ALL
        SELECT sale.reference, sale.status, sale.cancelled_at IS NOT NULL, movement.product_id, 0,
            CASE movement.reason WHEN 'sale' THEN -movement.quantity ELSE 0 END,
            CASE movement.reason WHEN 'release' THEN movement.quantity ELSE 0 END,
            CASE WHEN movement.reason IN ('cancel', 'return') THEN movement.quantity ELSE 0 END
        FROM orders_sale sale
        JOIN products_stockmovement movement ON movement.reference = sale.reference
        WHERE sale.id {ids} AND movement.reason IN ('sale', 'release', 'cancel', 'return')
        UNION ALL
        SELECT sale.reference, sale.status, sale.cancelled_at IS NOT NULL, held.product_id, 0, 0, 0,
            held.quantity
        FROM orders_sale sale JOIN products_heldstock held ON held.reference = sale.reference
        WHERE sale.id {ids}
    ) record
    GROUP BY reference, status, cancelled, product_id
    HAVING sum(ordered) <> sum(taken)
        OR sum(released)
            <> CASE WHEN status IN ('FAILED', 'CANCELLED') THEN sum(ordered) ELSE 0 END
        OR sum(restocked) <> CASE WHEN cancelled THEN sum(ordered) ELSE 0 END
    ORDER BY reference, product_id LIMIT {most}
"""


@invariant_of_sales("movements_match_order")
def movements_match_order(ids: str) -> list[Violation]:
    """Find orders that took other stock than their lines, or did not give it back as they ended.

    A failed or cancelled order releases all its units once. A paid order that was cancelled puts
    all of them back on sale once, or they are held until a flash sale ends. Other orders give back
    nothing: what customers send back moves with the reference of their return.
    """
    violations = []
    for (reference, status, cancelled), rows in groupby(rows_of(_MOVED, ids), itemgetter(0, 1, 2)):
        products = [
            f"product {product}: {ordered} ordered, {taken} taken, {released} released, "
            f"{restocked} put back"
            for *_, product, ordered, taken, released, restocked in rows
        ]
        state = f"{status}, cancelled later" if cancelled else status
        violations.append(Violation(reference, f"{state}, {'; '.join(products)}"))
    return violations


def _without_order(movements: QuerySet[StockMovement]) -> list[Violation]:
    order = Sale.objects.filter(reference=OuterRef("reference"))
    found = movements.filter(~Exists(order), reason__in=_OF_ORDERS).order_by("pk")
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
    """Find units sold, released or put back after a cancellation in the ledger by no order."""
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

    Units of orders that were cancelled later count as sold, and as offered again by the movement
    that put them back. So do units that customers sent back, less those written off. Only a sale,
    and a release by an order that was not paid, offer nothing. Movements are read after the orders,
    so that a unit sold during the scan has been counted as offered. The checkpoint has the units
    sold up to an order, by product.
    """
    sold: dict[str, int] = dict(checkpoint.get("sold", {}))
    next_scan = checkpoint
    for rows in ranges(Sale.objects.all(), checkpoint.get("done", 0), chunk=CHUNK):
        for product, units in rows_of(_SOLD, rows.condition):
            sold[str(product)] = sold.get(str(product), 0) + int(units)
        if rows.done == rows.last:
            next_scan = {"done": rows.done, "sold": dict(sold)}
        yield Part(rows.size, (), next_scan, rows.end)
    offers = StockMovement.objects.exclude(reason__in=(_Reason.SALE, _Reason.RELEASE))
    with bounded_read(SECONDS):
        offered = dict(offers.order_by().values_list("product_id").annotate(Sum("quantity")))
    over = {pk: units - offered.get(int(pk), 0) for pk, units in sold.items()}
    violations = [
        Violation(pk, f"{sold[pk]} sold, {sold[pk] - units} ever offered", amount=units)
        for pk, units in over.items()
        if units > 0
    ]
    yield Part(0, violations, next_scan)
