"""What others read of returns and refunds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q

from returns.measures import refund_most_age_seconds
from returns.models import Refund, Return, ReturnItem

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from orders.models import Sale

_NOTHING_RETURNED = (Return.Status.REJECTED, Return.Status.EXPIRED)
ARRIVED = (Return.Status.RECEIVED, Return.Status.CLOSED)


def unsettled() -> QuerySet[Refund]:
    """Return the refunds whose money is still owed. There is a partial index for this condition."""
    return Refund.objects.filter(settled_at=None)


def overdue(now: datetime) -> Q:
    """Return the condition of refunds that are unsettled for longer than they may be."""

    def since(state: str) -> datetime:
        return now - timedelta(seconds=refund_most_age_seconds(state))

    pending = Q(status=Refund.Status.PENDING)
    late = Q(created_at__lt=since("requested"))
    return ~pending & late | pending & Q(created_at__lt=since("pending"))


def returnable_until(sale: Sale) -> datetime | None:
    """Return until when an order's items can be returned; None if it was not dispatched."""
    if sale.dispatched_at is None:
        return None
    return sale.dispatched_at + timedelta(days=settings.RETURN_DAYS)


def _units(sale: Sale) -> list[ReturnItem]:
    items = ReturnItem.objects.filter(of_return__sale=sale).select_related("of_return")
    return list(items.exclude(of_return__status__in=_NOTHING_RETURNED))


def units_left(sale: Sale) -> dict[int, int]:
    """Return how many units of each line, by its id, are in no return."""
    taken: Counter[int] = Counter()
    for item in _units(sale):
        status = item.of_return.status
        if status == Return.Status.REQUESTED:
            taken[item.sale_item_id] += item.requested
        elif status == Return.Status.APPROVED:
            taken[item.sale_item_id] += item.approved
        else:
            taken[item.sale_item_id] += item.refundable
    return {line.pk: line.quantity - taken[line.pk] for line in sale.items.all()}


def units_settled(sale: Sale) -> dict[int, int]:
    """Return how many units of each line, by its id, arrived or were lost in earlier returns."""
    settled: Counter[int] = Counter()
    for item in _units(sale):
        if item.of_return.status in ARRIVED:
            settled[item.sale_item_id] += item.refundable
    return dict(settled)
