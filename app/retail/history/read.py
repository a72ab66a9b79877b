"""Read metric time series (by minute, hour or day) from the rollups.

90 days cost as many queries as one. Data newer than the worker's last rollup, usually a minute or
two, is aggregated from rows and tables on the fly. Without a worker, that is limited to the last
LIVE; older data is missing until the worker runs again (`rolled_until` returns the time). A source
whose past may change (`Source.final`) is read from its table for the whole range.

    requested = time_range("24h", timezone.now())
    for point in history(["error_rate"], requested)["error_rate"]: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING

from django.db.models import Q

from retail.history.points import Accumulators, Point, floor, merged, quantile
from retail.history.rollups import (
    DAY,
    HOUR,
    MINUTE,
    POINT,
    Period,
    aggregate_rows,
    rolled_until,
    sources,
)
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
RESOLUTION = timedelta(microseconds=1)  # of a datetime
MOST_DAYS = 90
HOURLY_DAYS = 7  # up to this many days are shown by hour

# Number and length of each range's steps; the last step is still running.
RANGES = {
    "1h": (60, MINUTE),
    "24h": (24, HOUR),
    "7d": (7 * 24, HOUR),
    "30d": (30, DAY),
    "90d": (90, DAY),
}


@dataclass(frozen=True)
class TimeRange:
    """A time range in equal steps; the last may still be running."""

    since: datetime  # UTC, at the start of a step
    until: datetime  # now, or the end of an earlier range
    step: timedelta  # a minute, an hour or a day

    @property
    def before(self) -> TimeRange:
        """The previous range, with as many steps; its last step ends as early as this one's.

        For example, today until now is compared with yesterday until the same time.
        """
        back = self.step * len(self.starts)
        return TimeRange(self.since - back, self.until - back, self.step)

    @property
    def starts(self) -> list[datetime]:
        """The start of each step."""
        steps = -((self.since - self.until) // self.step)
        return [self.since + place * self.step for place in range(steps)]


def time_range(name: str, now: datetime) -> TimeRange:
    """Return the named range that ends at `now`. Raises KeyError for a name not in RANGES."""
    steps, step = RANGES[name]
    return _range(steps, step, now)


def days_range(days: int, now: datetime) -> TimeRange:
    """Return the last 1 to 90 days up to `now`, by hour up to HOURLY_DAYS and by day beyond.

    Raises ValueError for any other number of days.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"days must be from 1 to {MOST_DAYS}")
    return _range(days * 24, HOUR, now) if days <= HOURLY_DAYS else _range(days, DAY, now)


def _range(steps: int, step: timedelta, now: datetime) -> TimeRange:
    now = now.astimezone(UTC)
    return TimeRange(floor(now, step) - (steps - 1) * step, now, step)


def history(kinds: Sequence[str], requested: TimeRange) -> dict[str, list[Point]]:
    """Return the steps that have data, in order, by metric type.

    Runs at most three queries, plus one for each requested type with a source (rollups.sources).
    """
    steps: dict[str, list[Point]] = {kind: [] for kind in kinds}
    for (kind, _), point in sorted(_read(kinds, requested, requested.step), key=itemgetter(0)):
        steps[kind].append(point)
    return steps


def total(kinds: Sequence[str], requested: TimeRange) -> dict[str, Point]:
    """Return the whole range as one point, for each metric type that has data.

    Equals `merged` of `history` with as many queries, but reads day rollups where they fit.
    """
    sums: Accumulators[str] = Accumulators()
    for (kind, _), point in _read(kinds, requested, DAY):
        sums.add(kind, point)
    return sums.points()


def _read(
    kinds: Sequence[str], requested: TimeRange, longest: timedelta
) -> Iterable[tuple[tuple[str, datetime], Point]]:
    """Return points by type and step, from rollups up to `longest` and from newer rows."""
    sums: Accumulators[tuple[str, datetime]] = Accumulators()
    changing = [kind for kind in kinds if kind in sources and not sources[kind].final]
    for kind in changing:
        for point in sources[kind].points(requested.since, requested.until, requested.step):
            sums.add((kind, point.start), point)
    kinds = [kind for kind in kinds if kind not in changing]
    mark = rolled_until()
    rolled = requested.since if mark is None else max(requested.since, min(mark, requested.until))
    wanted = Q()
    lengths = [length for length in PERIODS if length <= longest]
    for length, start, end in _cover(requested.since, rolled, lengths):
        wanted |= Q(period=PERIODS[length], start__gte=start, start__lt=end)
    if wanted:
        rows = MetricRollup.objects.filter(wanted, metric_type__in=kinds)
        for kind, at, *numbers in rows.values_list("metric_type", *POINT):
            start = floor(at, requested.step)
            sums.add((kind, start), Point(start, *numbers))
    live = max(rolled, requested.until - LIVE)
    if live < requested.until:
        for place, point in aggregate_rows(live, requested.until, requested.step, kinds).items():
            sums.add(place, point)
    return sums.points().items()


def _cover(
    start: datetime, end: datetime, lengths: Sequence[timedelta]
) -> Iterator[tuple[timedelta, datetime, datetime]]:
    """Split the range into (length, start, end), using the longest rollups that fit.

    Only rollups that end by `end` are read, so that concurrent rollups are not counted twice.
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
