"""What pages are told of the past: a metric's steps over a span of time, 90 days as fast as one.

Read from days, hours and minutes rolled up by the worker; only what is newer than its last look, a
minute or two, is added up from rows and tables here and now. While the worker is away that grows to
at most LIVE hours; what is older then waits for the worker, and `rolled_until` tells.

    span = time_range("24h", timezone.now())
    for point in history(["error_rate"], span)["error_rate"]: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from retail.history.points import Accumulators, Point, floor, merged, quantile
from retail.history.rollups import DAY, HOUR, MINUTE, POINT, Period, added_up, rolled_until
from retail.models import MetricRollup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "RANGES",
    "Point",
    "TimeRange",
    "days_range",
    "history",
    "merged",
    "quantile",
    "rolled_until",
    "time_range",
    "total",
]

LIVE = timedelta(hours=6)
PERIODS = {DAY: Period.DAY, HOUR: Period.HOUR, MINUTE: Period.MINUTE}  # the longest first
RESOLUTION = timedelta(microseconds=1)  # of a moment
MOST_DAYS = 90
HOURLY_DAYS = 7  # up to so many days are shown by hours

# How many steps a range has, and how long each is; the last is the one that runs.
RANGES = {
    "1h": (60, MINUTE),
    "24h": (24, HOUR),
    "7d": (7 * 24, HOUR),
    "30d": (30, DAY),
    "90d": (90, DAY),
}


@dataclass(frozen=True)
class TimeRange:
    """A range of time cut into equal steps; the last may still run."""

    since: datetime  # UTC; on a step's beginning
    until: datetime  # now, or the end of an earlier span
    step: timedelta  # a minute, an hour or a day

    @property
    def before(self) -> TimeRange:
        """As many steps directly before these, the last cut as short as the one that runs now.

        So a quarter of an hour of today is compared with the same quarter of an hour yesterday.
        """
        back = self.step * len(self.starts)
        return TimeRange(self.since - back, self.until - back, self.step)

    @property
    def starts(self) -> list[datetime]:
        """When each step begins."""
        steps = -((self.since - self.until) // self.step)
        return [self.since + place * self.step for place in range(steps)]


def time_range(name: str, now: datetime) -> TimeRange:
    """Return the range of this name that ends `now`. Raises KeyError for a name not in RANGES."""
    steps, step = RANGES[name]
    return _range(steps, step, now)


def days_range(days: int, now: datetime) -> TimeRange:
    """Return the last 1 to 90 days up to `now`, by hours if they are few.

    Raises ValueError for another number of days.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"days must be from 1 to {MOST_DAYS}")
    return _range(days * 24, HOUR, now) if days <= HOURLY_DAYS else _range(days, DAY, now)


def _range(steps: int, step: timedelta, now: datetime) -> TimeRange:
    now = now.astimezone(UTC)
    return TimeRange(floor(now, step) - (steps - 1) * step, now, step)


def history(kinds: Sequence[str], span: TimeRange) -> dict[str, list[Point]]:
    """Return, of each metric type, the steps that have data, in order.

    At most three queries, and one more for each type whose truth is in tables (store.sources).
    """
    found: dict[str, list[Point]] = {kind: [] for kind in kinds}
    for (kind, _), point in sorted(_read(kinds, span, span.step), key=lambda one: one[0]):
        found[kind].append(point)
    return found


def total(kinds: Sequence[str], span: TimeRange) -> dict[str, Point]:
    """Return, of each metric type that has data, all of a span as one.

    As `merged` says of `history`, but of a long span it reads days instead of hours. As many
    queries.
    """
    sums: Accumulators[str] = Accumulators()
    for (kind, _), point in _read(kinds, span, DAY):
        sums.add(kind, point)
    return sums.points()


def _read(
    kinds: Sequence[str], span: TimeRange, longest: timedelta
) -> Iterable[tuple[tuple[str, datetime], Point]]:
    """Return sums by type and step, from rollups not longer than `longest` and what is newer."""
    sums: Accumulators[tuple[str, datetime]] = Accumulators()
    mark = rolled_until()
    rolled = span.since if mark is None else max(span.since, min(mark, span.until))
    wanted = Q()
    lengths = [length for length in PERIODS if length <= longest]
    for length, start, end in _cover(span.since, rolled, lengths):
        wanted |= Q(period=PERIODS[length], start__gte=start, start__lt=end)
    if wanted:
        rows = MetricRollup.objects.filter(wanted, metric_type__in=kinds)
        for kind, at, *numbers in rows.values_list("metric_type", *POINT):
            start = floor(at, span.step)
            sums.add((kind, start), Point(start, *numbers))
    live = max(rolled, span.until - LIVE)
    if live < span.until:
        for place, point in added_up(live, span.until, span.step, kinds).items():
            sums.add(place, point)
    return sums.points().items()


def _cover(
    start: datetime, end: datetime, lengths: Sequence[timedelta]
) -> Iterator[tuple[timedelta, datetime, datetime]]:
    """Yield from when to when to read rollups of which length, the longest first where they fit.

    Only whole ones before `end`, so that what the worker writes meanwhile is not counted twice.
    """
    if not lengths:
        return
    length, *shorter = lengths
    first, last = floor(start + length - RESOLUTION, length), floor(end, length)
    if first < last:
        yield length, first, last
        yield from _cover(start, first, shorter)
        yield from _cover(last, end, shorter)
    else:
        yield from _cover(start, end, shorter)
