"""Invariants about returns and refunds: units, stock and money, compared with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from orders.audit import rows_of
from retail.audit.declare import MOST_OPEN, Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS
from retail.db.reads import bounded_read
from returns.models import Refund, Return, ReturnItem
from returns.selectors import overdue, unsettled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import Model


def _count(model: type[Model]) -> int:
    with bounded_read(SECONDS):
        return model._default_manager.count()  # noqa: SLF001 - documented


_RESERVED = """
    WITH live AS (
        SELECT payment_id, sum(amount) AS total FROM returns_refund
        WHERE status NOT IN ('FAILED', 'CANCELLED') GROUP BY payment_id
    )
    SELECT payment.key, payment.amount, payment.refund_reserved, coalesce(live.total, 0)
    FROM orders_payment payment LEFT JOIN live ON live.payment_id = payment.id
    WHERE payment.refund_reserved <> 0 AND (
        abs(payment.refund_reserved - coalesce(live.total, 0)) > 0.001
        OR payment.refund_reserved > payment.amount + 0.001 OR payment.status <> 'COMPLETED'
    )
    UNION ALL
    SELECT payment.key, payment.amount, payment.refund_reserved, live.total
    FROM live JOIN orders_payment payment ON payment.id = live.payment_id
    WHERE payment.refund_reserved = 0
    ORDER BY 1 LIMIT {most}
"""


@invariant("refunds_match_reserved", full_every=None)
def refunds_match_reserved(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Find payments whose reserved refunds are not the sum of those that did not fail.

    Or that have more refunds than was paid.
    """
    violations = [
        Violation(key, f"{reserved:.2f} of {amount:.2f} reserved, refunds sum to {total:.2f}")
        for key, amount, reserved, total in rows_of(_RESERVED)
    ]
    yield Part(_count(Refund), violations, {})


_RETURNED = """
    SELECT sale.reference, line.product_id, line.quantity, sum(
        CASE of_return.status WHEN 'requested' THEN item.requested
            WHEN 'approved' THEN item.approved ELSE item.sellable + item.damaged + item.lost END
    )
    FROM returns_returnitem item
    JOIN returns_return of_return ON of_return.id = item.of_return_id
    JOIN orders_saleitem line ON line.id = item.sale_item_id
    JOIN orders_sale sale ON sale.id = line.sale_id
    WHERE of_return.status NOT IN ('rejected', 'expired')
    GROUP BY line.id, sale.reference, line.product_id, line.quantity
    HAVING sum(
        CASE of_return.status WHEN 'requested' THEN item.requested
            WHEN 'approved' THEN item.approved ELSE item.sellable + item.damaged + item.lost END
    ) > line.quantity
    ORDER BY 1, 2 LIMIT {most}
"""


@invariant("returned_within_sold", full_every=None)
def returned_within_sold(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Find orders of which more units are in returns than were sold."""
    violations = [
        Violation(
            f"{reference}/{product}",
            f"product {product}: {returned} in returns, {sold} sold",
            amount=returned - sold,
        )
        for reference, product, sold, returned in rows_of(_RETURNED)
    ]
    yield Part(_count(ReturnItem), violations, {})


_RESTOCKED = """
    SELECT reference, product_id, sum(sellable), sum(gone), sum(moved_in), sum(moved_out)
    FROM (
        SELECT of_return.reference, line.product_id, item.sellable,
            item.damaged + item.lost AS gone, 0 AS moved_in, 0 AS moved_out
        FROM returns_returnitem item
        JOIN returns_return of_return ON of_return.id = item.of_return_id
        JOIN orders_saleitem line ON line.id = item.sale_item_id
        UNION ALL
        SELECT reference, product_id, 0, 0,
            CASE reason WHEN 'return' THEN quantity ELSE 0 END,
            CASE reason WHEN 'loss' THEN -quantity ELSE 0 END
        FROM products_stockmovement WHERE reason IN ('return', 'loss')
        UNION ALL
        SELECT reference, product_id, 0, 0, quantity, 0
        FROM products_heldstock WHERE reason = 'return'
    ) record
    GROUP BY reference, product_id
    HAVING sum(moved_in) <> sum(sellable) + sum(gone) OR sum(moved_out) <> sum(gone)
    ORDER BY 1, 2 LIMIT {most}
"""


@invariant("restocked_as_received", full_every=None)
def restocked_as_received(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Find returns that put other units on sale than arrived in good order.

    Damaged and lost units come in and are written off; sellable ones may be held until a flash sale
    ends. Units that came back, or were written off, without a return are found too.
    """
    violations = [
        Violation(
            f"{reference}/{product}",
            f"product {product}: {sellable} sellable, {gone} damaged or lost; "
            f"{moved_in} came in, {moved_out} written off",
        )
        for reference, product, sellable, gone, moved_in, moved_out in rows_of(_RESTOCKED)
    ]
    yield Part(_count(Return), violations, {})


@invariant("refund_within_deadline", full_every=None, since_backup=True)
def refund_within_deadline(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Find refunds that are not settled though their deadline has passed."""
    with bounded_read(SECONDS):
        waiting = unsettled().count()
        late = list(unsettled().filter(overdue(timezone.now())).order_by("pk")[:MOST_OPEN])
    violations = [
        Violation(
            row.reference,
            f"{row.amount} {row.currency} {row.status} since {row.created_at:%F %T} UTC",
        )
        for row in late
    ]
    yield Part(waiting, violations, {})
