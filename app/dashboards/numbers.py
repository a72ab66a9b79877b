"""The shop's numbers over a range, worked out once for the page, the API and the CSV file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dashboards.measures import KINDS, MEASURES, Value, Window
from orders.models import Payment
from orders.selectors import Unsettled, payments_unsettled
from retail.history.points import floor
from retail.history.read import Point, TimeRange, history, merged, rolled_until, total

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

DAY = timedelta(days=1)
LEAST_DAYS = 7  # shown day by day, however short the range


@dataclass(frozen=True)
class Numbers:
    """Everything that is known of a range."""

    span: TimeRange
    now: datetime
    total: Window
    before: Window  # of the range as long, directly before
    steps: list[tuple[datetime, Window]]
    days: list[tuple[datetime, Window]]  # whole days (UTC), the last one today
    pending: int
    unknown: int
    rolled_until: datetime | None

    def value(self, key: str) -> Value:
        """Return a measure of the whole range."""
        return MEASURES[key].of(self.total)

    def value_before(self, key: str) -> Value:
        """Return a measure of the range before."""
        return MEASURES[key].of(self.before)

    def each(self, key: str, *, daily: bool = False) -> list[Value]:
        """Return a measure of each step, or of each day."""
        measure = MEASURES[key]
        return [measure.of(part) for _, part in (self.days if daily else self.steps)]


Points = Mapping[str, list[Point]]


def _whole(points: Points, unsettled: Iterable[Unsettled], span: TimeRange) -> Window:
    """Return all of a span as one."""
    found = {kind: one for kind, ones in points.items() if (one := merged(ones))}
    return Window(
        found, sum(one.overdue for one in unsettled if span.since <= one.start < span.until)
    )


def _cut(
    points: Points, unsettled: Iterable[Unsettled], span: TimeRange
) -> list[tuple[datetime, Window]]:
    """Return each step of a span."""
    found: defaultdict[datetime, dict[str, Point]] = defaultdict(dict)
    overdue: defaultdict[datetime, int] = defaultdict(int)
    for kind, ones in points.items():
        for point in ones:
            found[point.start][kind] = point
    for one in unsettled:
        overdue[floor(one.start, span.step)] += one.overdue
    return [(start, Window(found[start], overdue[start])) for start in span.starts]


def _days(now: datetime, days: int) -> TimeRange:
    """Return so many whole days (UTC), the last one today."""
    return TimeRange(since=floor(now, DAY) - (days - 1) * DAY, until=now, step=DAY)


def numbers(span: TimeRange, now: datetime) -> Numbers:
    """Work out everything about a span that ends now, by a bounded number of queries."""
    before = span.before
    points = history(KINDS, span)
    unsettled = payments_unsettled(now=now)
    days = _days(now, max(LEAST_DAYS, round((span.until - span.since) / DAY)))
    return Numbers(
        span=span,
        now=now,
        total=_whole(points, unsettled, span),
        before=_whole(
            {kind: [one] for kind, one in total(KINDS, before).items()}, unsettled, before
        ),
        steps=_cut(points, unsettled, span),
        days=_cut(history(["orders_per_day"], days), (), days),
        pending=_waiting(unsettled, Payment.Status.PENDING),
        unknown=_waiting(unsettled, Payment.Status.UNKNOWN),
        rolled_until=rolled_until(),
    )


def _waiting(unsettled: Iterable[Unsettled], status: str) -> int:
    return sum(one.count for one in unsettled if one.status == status)
