"""History of refunds, read from their table: metric rows would be incomplete.

A refund that fails after it was paid out leaves the figure of its day. The rows of the past may
change, so they are not rolled up (`Source.final`); there is an index of the refunds paid out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Min, Sum
from django.db.models.functions import Trunc

from retail.history.points import Accumulators, Point
from retail.history.rollups import DAY, HOUR, MINUTE, Source
from returns.models import Refund

_UNIT = {MINUTE: "minute", HOUR: "hour", DAY: "day"}
_CENT = Decimal("0.01")
_PAID = Refund.objects.filter(status=Refund.Status.SUCCEEDED).order_by()


def paid_refunds(since: datetime, until: datetime, step: timedelta) -> list[Point]:
    """Return the refunds paid out from `since` to before `until`, each with value 1."""
    rows = (
        _PAID.filter(settled_at__gte=since, settled_at__lt=until)
        .annotate(at=Trunc("settled_at", _UNIT[step], tzinfo=UTC))
        .values_list("at", "currency")
        .annotate(Count("pk"), Sum("amount"))
    )
    sums: Accumulators[datetime] = Accumulators()
    for at, currency, count, amount in rows:
        aggregates = {"amount": {currency: str(amount.quantize(_CENT))}}
        sums.add(at, Point(at, count, float(count), 1.0, 1.0, aggregates))
    return list(sums.points().values())


REFUNDS = Source(
    paid_refunds,
    lambda: _PAID.aggregate(first=Min("settled_at"))["first"],
    final=False,
)
