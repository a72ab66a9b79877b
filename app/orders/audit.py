"""Invariants about money, checked on the shop's own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from orders.models import Payment, Sale
from orders.selectors import UNFINISHED, overdue
from retail.audit.declare import Checkpoint, Part, Violation, invariant
from retail.db.reads import bounded_read, settled_before

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CHUNK = 5_000  # rows looked at by one statement
SECONDS = 20  # for one statement


class Range(NamedTuple):
    """Rows looked at together: their keys, how many, and the last that is done with for good."""

    first: int
    last: int
    size: int
    done: int


def ranges(rows: QuerySet[Any], done: int, unfinished: Collection[str]) -> Iterator[Range]:
    """Yield all rows after `done` in the order of their keys.

    No checkpoint lies beyond a row that is unfinished, or so young that one of a lower key may
    still be to come.
    """
    settled = settled_before()
    moving, last = True, done
    statuses = rows.order_by("pk").values_list("pk", "status", "created_at")
    while True:
        with bounded_read(SECONDS):
            chunk = list(statuses.filter(pk__gt=last)[:CHUNK])
        if not chunk:
            return
        for pk, status, created_at in chunk:
            moving = moving and created_at < settled and status not in unfinished
            done = pk if moving else done
        last = chunk[-1][0]
        yield Range(chunk[0][0], last, len(chunk), done)


def paid_wrongly(sales: QuerySet[Sale]) -> list[Violation]:
    """Return the sales that are confirmed but not paid once and in full, or paid but not so."""
    completed = Q(payments__status=Payment.Status.COMPLETED)
    of_total = Q(payments__amount=F("total"), payments__currency=F("currency"))
    confirmed = Q(status=Sale.Status.CONFIRMED)
    counted = sales.order_by("pk").annotate(
        completed=Count("payments", filter=completed),
        of_total=Count("payments", filter=completed & of_total),
    )
    right = Q(confirmed, completed=1, of_total=1) | Q(~confirmed, completed=0)
    rows = counted.exclude(right).values_list(
        "reference", "status", "completed", "of_total", "total", "currency"
    )
    with bounded_read(SECONDS):
        return [
            Violation(
                reference,
                f"{status} with {completed} completed payments, {of_total} of {total} {currency}",
            )
            for reference, status, completed, of_total, total, currency in rows
        ]


def paid_wrongly_of(references: list[str]) -> list[Violation]:
    """Return which of these orders are not paid as they should."""
    return paid_wrongly(Sale.objects.filter(reference__in=references))


@invariant("confirmed_sale_is_paid_once", recheck=paid_wrongly_of)
def confirmed_sale_is_paid_once(checkpoint: Checkpoint) -> Iterator[Part]:
    """Look for confirmed orders without exactly one payment of their total, and the reverse."""
    for rows in ranges(Sale.objects.all(), checkpoint.get("done", 0), (Sale.Status.PENDING,)):
        sales = Sale.objects.filter(pk__gte=rows.first, pk__lte=rows.last)
        yield Part(rows.size, paid_wrongly(sales), {"done": rows.done} if rows.done else {})


@invariant("pending_within_deadline")
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
