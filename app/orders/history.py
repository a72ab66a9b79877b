"""History of orders and settled payments, read from their tables.

Metric rows would be incomplete: a killed process loses its unflushed ones.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Count, Min, Sum
from django.db.models.functions import Trunc

from orders.models import Payment, Sale
from retail.history.points import Accumulators, Point
from retail.history.rollups import DAY, HOUR, MINUTE, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNIT = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_CENT = Decimal("0.01")
_CONFIRMED = Sale.objects.filter(status=Sale.Status.CONFIRMED).order_by()
_SETTLED = Payment.objects.filter(settled_at__isnull=False)


def _merged(points: Iterable[Point]) -> list[Point]:
    accumulators: Accumulators[datetime] = Accumulators()
    for point in points:
        accumulators.add(point.start, point)
    return list(accumulators.points().values())


def confirmed_orders(since: datetime, until: datetime, step: timedelta) -> list[Point]:
    """Return the orders confirmed from `since` to before `until`, each with value 1.

    Also those cancelled later: history does not change.
    """
    rows = (
        _CONFIRMED.filter(finished_at__gte=since, finished_at__lt=until)
        .annotate(at=Trunc("finished_at", _UNIT[step], tzinfo=UTC))
        .values_list("at", "kind", "currency")
        .annotate(Count("pk"), Sum("total"))
    )
    return _merged(
        Point(
            at,
            count,
            float(count),
            1.0,
            1.0,
            {"revenue": {currency: str(total.quantize(_CENT))}, "kinds": {kind: count}},
        )
        for at, kind, currency, count, total in rows
    )


def settled_payments(since: datetime, until: datetime, step: timedelta) -> list[Point]:
    """Return the payments settled from `since` to before `until`: 100 if completed, else 0."""
    rows = (
        _SETTLED.filter(settled_at__gte=since, settled_at__lt=until)
        .annotate(at=Trunc("settled_at", _UNIT[step], tzinfo=UTC))
        .values_list("at", "status", "failure_reason")
        .annotate(Count("pk"))
    )
    return _merged(_settled(*row) for row in rows)


def _settled(at: datetime, status: str, reason: str, count: int) -> Point:
    completed = count if status == Payment.Status.COMPLETED else 0
    value = 100.0 if completed else 0.0
    aggregates = {
        "completed": completed,
        "failed": count - completed,
        "reasons": {reason: count} if reason else {},
    }
    return Point(at, count, value * count, value, value, aggregates)


ORDERS = Source(confirmed_orders, lambda: _CONFIRMED.aggregate(first=Min("finished_at"))["first"])
PAYMENTS = Source(settled_payments, lambda: _SETTLED.aggregate(first=Min("settled_at"))["first"])
