"""The shop's numbers over a range, computed once for the page, the API and the CSV file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dashboards.measures import KINDS, MEASURES, Value
from retail import measures
from retail.history.points import floor
from retail.history.read import Point, TimeRange, history, rolled_until, total
from retail.measures import OpenPayments, Window, overdue_between
from returns.measures import refunds_for_staff, refunds_oldest_seconds, refunds_unsettled
from returns.unsettled import refunds_by_state

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

DAY = timedelta(days=1)
DAILY_KINDS = ("orders_per_day", "refunds_per_day")
LEAST_DAYS = 7  # in the daily chart, however short the range


@dataclass(frozen=True)
class Numbers:
    """All metrics of a range and of the range before it."""

    span: TimeRange
    now: datetime
    total: Window
    before: Window  # the equally long range directly before
    steps: list[tuple[datetime, Window]]
    days: list[tuple[datetime, Window]]  # days in UTC; the last is today so far
    pending: int
    unknown: int
    refunds_unsettled: int
    refunds_for_staff: int
    refunds_oldest: timedelta  # age of the oldest unsettled refund
    rolled_until: datetime | None

    def value(self, key: str) -> Value:
        """Return a metric of the whole range."""
        return MEASURES[key].of(self.total)

    def value_before(self, key: str) -> Value:
        """Return a metric of the range before."""
        return MEASURES[key].of(self.before)

    def each(self, key: str, *, daily: bool = False) -> list[Value]:
        """Return a metric of each step, or of each day."""
        metric = MEASURES[key]
        return [metric.of(window) for _, window in (self.days if daily else self.steps)]


Points = Mapping[str, list[Point]]


def _steps(
    points: Points, payments: Iterable[OpenPayments], span: TimeRange
) -> list[tuple[datetime, Window]]:
    """Return the start and the window of each step of a range."""
    by_start: defaultdict[datetime, dict[str, Point]] = defaultdict(dict)
    overdue: defaultdict[datetime, int] = defaultdict(int)
    for kind, of_kind in points.items():
        for point in of_kind:
            by_start[point.start][kind] = point
    for row in payments:
        overdue[floor(row.start, span.step)] += row.overdue
    return [(start, Window(by_start[start], overdue[start])) for start in span.starts]


def _days(now: datetime, days: int) -> TimeRange:
    """Return a range of so many days in UTC; the last is today so far."""
    return TimeRange(since=floor(now, DAY) - (days - 1) * DAY, until=now, step=DAY)


def read_numbers(span: TimeRange, now: datetime) -> Numbers:
    """Compute the metrics of a range that ends now, in a bounded number of queries."""
    before = span.before
    points = history(KINDS, span)
    payments = measures.open_payments(now)
    refunds = refunds_by_state()
    days = _days(now, max(LEAST_DAYS, round((span.until - span.since) / DAY)))
    return Numbers(
        span=span,
        now=now,
        total=Window.of(points, overdue_between(payments, span.since, span.until)),
        before=Window(total(KINDS, before), overdue_between(payments, before.since, before.until)),
        steps=_steps(points, payments, span),
        days=_steps(history(DAILY_KINDS, days), (), days),
        pending=measures.payments_pending(payments),
        unknown=measures.payments_unknown(payments),
        refunds_unsettled=refunds_unsettled(refunds),
        refunds_for_staff=refunds_for_staff(refunds),
        refunds_oldest=timedelta(seconds=refunds_oldest_seconds(refunds, now)),
        rolled_until=rolled_until(),
    )
