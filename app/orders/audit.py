"""Invariants about orders and money: lines, totals and payments, compared with each other.

Each statement reads all that it compares, so that an order in progress is seen either before or
after each of its transactions, in which its records always agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection
from django.utils import timezone

from orders.models import Payment, Sale
from orders.selectors import UNFINISHED, overdue
from retail.audit.declare import EACH_RUN, MOST_OPEN, Checkpoint, Part, Violation, invariant
from retail.audit.ranges import SECONDS, ranges
from retail.db.reads import bounded_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from retail.audit.declare import Scan

CHUNK = 500_000  # orders compared by one statement


def rows_of(statement: str, ids: str = "") -> list[tuple[Any, ...]]:
    """Return a statement's rows; `ids` is an SQL condition on the orders' ids, if it has one."""
    with bounded_read(SECONDS), connection.cursor() as cursor:
        cursor.execute(statement.format(ids=ids, most=MOST_OPEN))
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def invariant_of_sales(name: str) -> Callable[[Callable[[str], list[Violation]]], Scan]:
    """Declare an invariant and the function that returns which orders violate it.

    The function gets an SQL condition on the orders' ids, such as "BETWEEN 1 AND 9".
    """

    def declare(find: Callable[[str], list[Violation]]) -> Scan:
        def recheck(references: list[str]) -> list[Violation]:
            sales = Sale.objects.filter(reference__in=references)
            ids = ", ".join(str(pk) for pk in sales.values_list("pk", flat=True))
            return find(f"IN ({ids})") if ids else []

        def scan(checkpoint: Checkpoint) -> Iterator[Part]:
            for rows in ranges(Sale.objects.all(), checkpoint.get("done", 0), chunk=CHUNK):
                yield Part(rows.size, find(rows.condition), rows.checkpoint, rows.end)

        return invariant(name, recheck=recheck, full_every=EACH_RUN)(scan)

    return declare


_AMOUNTS = """
    SELECT sale.reference, sale.total, sale.currency, line.total, payment.least, payment.most,
        payment.first_currency, payment.last_currency
    FROM orders_sale sale
    LEFT JOIN (
        SELECT sale_id, sum(unit_price * quantity) AS total
        FROM orders_saleitem WHERE sale_id {ids} GROUP BY sale_id
    ) line ON line.sale_id = sale.id
    LEFT JOIN (
        SELECT sale_id, min(amount) AS least, max(amount) AS most,
            min(currency) AS first_currency, max(currency) AS last_currency
        FROM orders_payment WHERE sale_id {ids} GROUP BY sale_id
    ) payment ON payment.sale_id = sale.id
    WHERE sale.id {ids} AND (
        line.total IS NULL OR abs(line.total - sale.total) > 0.001
        OR abs(payment.least - sale.total) > 0.001 OR abs(payment.most - sale.total) > 0.001
        OR payment.first_currency <> sale.currency OR payment.last_currency <> sale.currency
    )
    ORDER BY sale.id LIMIT {most}
"""


def _each(least: Decimal, most: Decimal, first: str, last: str) -> str:
    """Return the amounts and the currencies of an order's payments, which need not be equal."""
    amounts = f"{least:.2f}" if least == most else f"{least:.2f} to {most:.2f}"
    return f"{amounts} {first}" if first == last else f"{amounts} {first} and {last}"


@invariant_of_sales("order_amounts_agree")
def order_amounts_agree(ids: str) -> list[Violation]:
    """Find orders whose total is not the sum of their lines, or not the amount of a payment."""
    violations = []
    for reference, total, currency, lines, least, most, first, last in rows_of(_AMOUNTS, ids):
        of_lines = "no lines" if lines is None else f"lines {lines:.2f}"
        paid = "no payment" if least is None else f"payments {_each(least, most, first, last)}"
        violations.append(Violation(reference, f"total {total:.2f} {currency}, {of_lines}, {paid}"))
    return violations


_PAID = """
    SELECT sale.reference, sale.status, sale.total, sale.currency,
        count(payment.id) FILTER (WHERE payment.status = 'COMPLETED') AS completed,
        count(payment.id) FILTER (WHERE payment.status = 'COMPLETED'
            AND payment.amount = sale.total AND payment.currency = sale.currency) AS of_total
    FROM orders_sale sale
    LEFT JOIN orders_payment payment ON payment.sale_id = sale.id AND payment.sale_id {ids}
    WHERE sale.id {ids}
    GROUP BY sale.id
    HAVING count(payment.id) FILTER (WHERE payment.status = 'COMPLETED')
            <> CASE sale.status WHEN 'CONFIRMED' THEN 1 ELSE 0 END
        OR count(payment.id) FILTER (WHERE payment.status = 'COMPLETED'
            AND payment.amount = sale.total AND payment.currency = sale.currency)
            <> CASE sale.status WHEN 'CONFIRMED' THEN 1 ELSE 0 END
    ORDER BY sale.id LIMIT {most}
"""


@invariant_of_sales("confirmed_sale_is_paid_once")
def confirmed_sale_is_paid_once(ids: str) -> list[Violation]:
    """Find confirmed orders without exactly one payment of their total, and paid other orders."""
    return [
        Violation(
            reference,
            f"{status} with {completed} completed payments, {of_total} of {total:.2f} {currency}",
        )
        for reference, status, total, currency, completed, of_total in rows_of(_PAID, ids)
    ]


_STATUS = """
    SELECT sale.reference, sale.status,
        count(payment.id) FILTER (WHERE payment.status IN ('PENDING', 'UNKNOWN')) AS unfinished,
        count(payment.id) FILTER (WHERE payment.status = 'COMPLETED') AS completed,
        count(payment.id) FILTER (WHERE payment.status = 'FAILED') AS failed
    FROM orders_sale sale
    LEFT JOIN orders_payment payment ON payment.sale_id = sale.id AND payment.sale_id {ids}
    WHERE sale.id {ids}
    GROUP BY sale.id
    HAVING (sale.status = 'PENDING')
            <> (count(payment.id) FILTER (WHERE payment.status IN ('PENDING', 'UNKNOWN')) > 0)
        OR (sale.status = 'CONFIRMED')
            <> (count(payment.id) FILTER (WHERE payment.status = 'COMPLETED') > 0)
        OR (sale.status IN ('FAILED', 'CANCELLED')
            AND count(payment.id) FILTER (WHERE payment.status = 'FAILED') = 0)
    ORDER BY sale.id LIMIT {most}
"""


@invariant_of_sales("sale_status_matches_payments")
def sale_status_matches_payments(ids: str) -> list[Violation]:
    """Find pending orders without an unfinished payment, and others that their payments deny."""
    return [
        Violation(
            reference,
            f"{status} with {unfinished} unfinished, {completed} completed and {failed} failed"
            " payments",
        )
        for reference, status, unfinished, completed, failed in rows_of(_STATUS, ids)
    ]


@invariant("pending_within_deadline", full_every=None, since_backup=True)
def pending_within_deadline(_checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for payments that are not settled though their deadline has passed."""
    unfinished = Payment.objects.filter(status__in=UNFINISHED)
    late = unfinished.filter(overdue(timezone.now())).select_related("sale")
    with bounded_read(SECONDS):
        waiting = unfinished.count()
        violations = [
            Violation(
                row.key, f"{row.sale.reference}: {row.status} since {row.created_at:%F %T} UTC"
            )
            for row in late.order_by("pk")
        ]
    yield Part(waiting, violations, {})
