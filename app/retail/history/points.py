"""Mergeable aggregates of a metric over a time step. Merging is commutative and associative.

`aggregates` sum up the rows' metadata, by metric type (docs/metrics.md). Their shape says how they
merge: numbers are added, but those named `max_ms` or `..._max_ms` are maxima; lists are added
element by element; text is an amount of money.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from retail.observability.rows.intervals import (
    BREAKER_STATES,
    DURATION_BOUNDS_MS,
    FAST_FAIL_BOUNDS_MS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST = 10**15  # a count beyond it is a mistake, and would not fit into the database
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOUNDS = {len(bounds) + 1: bounds for bounds in (DURATION_BOUNDS_MS, FAST_FAIL_BOUNDS_MS)}

Aggregates = dict[str, Any]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Point:
    """One step of one metric type; also several of them, added up."""

    start: datetime
    count: int  # events the rows stand for
    total: float  # sum of value times events
    minimum: float
    maximum: float
    aggregates: Aggregates = field(default_factory=dict)

    @property
    def average(self) -> float:
        """The true average: each event counts once."""
        return self.total / self.count if self.count else 0.0


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return when the minute, hour or day (UTC) around `moment` began."""
    moment = moment.astimezone(UTC)
    return moment - (moment - _EPOCH) % step


def weight(metadata: Aggregates) -> int:
    """Return how many events a row stands for: its `count`, where that is a number of events."""
    return _whole(metadata.get("count")) or 1


def point_of(kind: str, value: float, metadata: Any, start: datetime) -> Point:
    """Return what one row of the Metric table says. Metadata that make no sense count nothing."""
    metadata = metadata if isinstance(metadata, dict) else {}
    events = weight(metadata)
    aggregates = _AGGREGATES[kind](metadata, events) if kind in _AGGREGATES else {}
    return Point(start, events, value * events, value, value, aggregates)


class Accumulator:
    """Points added up one after the other; none of them is changed by it."""

    def __init__(self, first: Point) -> None:
        self.point = first
        self._aggregates: Aggregates | None = None  # the sum's own, once there are two

    def add(self, more: Point) -> None:
        """Add one more point. The sum starts when the earliest does."""
        known = self.point
        if self._aggregates is None:
            self._aggregates = _own(known.aggregates)
        _merge(self._aggregates, more.aggregates)
        self.point = Point(
            min(known.start, more.start),
            known.count + more.count,
            known.total + more.total,
            min(known.minimum, more.minimum),
            max(known.maximum, more.maximum),
            self._aggregates,
        )


class Accumulators(dict[Key, Accumulator]):
    """Accumulators by whatever tells them apart."""

    def add(self, key: Key, point: Point) -> None:
        """Add a point to the sum of this key."""
        known = self.get(key)
        if known is None:
            self[key] = Accumulator(point)
        else:
            known.add(point)

    def points(self) -> dict[Key, Point]:
        """Return each sum as one point."""
        return {key: one.point for key, one in self.items()}


def merged(points: Iterable[Point]) -> Point | None:
    """Return all points added up, None without any."""
    sums: Accumulators[None] = Accumulators()
    for point in points:
        sums.add(None, point)
    return sums[None].point if sums else None


def _own(value: Any) -> Any:
    """Return a copy that shares nothing that can change."""
    if isinstance(value, dict):
        return {name: _own(one) for name, one in value.items()}
    return list(value) if isinstance(value, list) else value


def _merge(into: Aggregates, more: Aggregates) -> None:
    """Add aggregates to others, in place."""
    for name, value in more.items():
        known = into.get(name)
        if known is None:
            into[name] = _own(value)
        elif isinstance(value, dict):
            _merge(known, value)
        elif isinstance(value, list):
            into[name] = [one + other for one, other in zip_longest(known, value, fillvalue=0)]
        elif isinstance(value, str):
            into[name] = str(Decimal(known) + Decimal(value))
        elif name.endswith("max_ms"):
            into[name] = max(known, value)
        else:
            into[name] = known + value


def quantile(buckets: Sequence[int], share: float, most: float | None = None) -> float | None:
    """Return below which duration `share` (0 to 1) of all lie, in milliseconds; None without any.

    `buckets` are the counts between DURATION_BOUNDS_MS or FAST_FAIL_BOUNDS_MS, told apart by their
    number. Interpolates as Prometheus' histogram_quantile does, whose answer beyond the last bound
    is that bound. Who knows the longest duration gives it as `most`: no answer is then above it, or
    stops at the last bound. Raises ValueError for other buckets, and a share not in (0, 1].
    """
    if len(buckets) not in _BOUNDS or not 0 < share <= 1:
        raise ValueError(f"no quantile {share!r} of {len(buckets)} buckets")
    if not any(buckets):
        return None
    bounds, rank, below, place = _BOUNDS[len(buckets)], share * sum(buckets), 0, 0
    while below + buckets[place] < rank:
        below += buckets[place]
        place += 1
    lower = bounds[place - 1] if place else 0.0
    upper = bounds[place] if place < len(bounds) else max(lower, most or 0.0)
    found = lower + (upper - lower) * (rank - below) / buckets[place]
    return min(found, most) if most else found


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 < value <= MOST else 0


def _longest(value: Any) -> float:
    known = type(value) in {int, float} and 0 < value <= MOST
    return float(value) if known else 0.0


def _buckets(value: Any, bounds: Sequence[float]) -> list[int]:
    given = value if isinstance(value, list) and len(value) == len(bounds) + 1 else []
    return [_whole(one) for one in given] or [0] * (len(bounds) + 1)


def _errors(metadata: Aggregates, _: int) -> Aggregates:
    return {name: _whole(metadata.get(name)) for name in ("errors", "client_errors")}


def _durations(metadata: Aggregates, _: int) -> Aggregates:
    return {
        "buckets": _buckets(metadata.get("buckets"), DURATION_BOUNDS_MS),
        "max_ms": _longest(metadata.get("max_ms")),
    }


def _breaker(metadata: Aggregates, events: int) -> Aggregates:
    """One row for the attempts of an interval, one for its fast fails, one for each change."""
    given = metadata.get("attempts")
    attempts = given if isinstance(given, dict) else {}
    to = str(metadata.get("state")).lower() if metadata.get("transition") is True else ""
    return {
        "attempts": {state: _whole(attempts.get(state)) for state in BREAKER_STATES},
        "transitions": {state: events if state == to else 0 for state in BREAKER_STATES},
        "fast_fails": _whole(metadata.get("fast_fails")),
        "fast_fail_buckets": _buckets(metadata.get("fast_fail_buckets"), FAST_FAIL_BOUNDS_MS),
        "fast_fail_max_ms": _longest(metadata.get("fast_fail_max_ms")),
    }


def _throttled(metadata: Aggregates, events: int) -> Aggregates:
    scope = metadata.get("scope")
    return {"by_scope": {scope if isinstance(scope, str) else "unknown": events}}


_AGGREGATES: dict[str, Callable[[Aggregates, int], Aggregates]] = {
    "error_rate": _errors,
    "avg_response_time": _durations,
    "circuit_breaker_state": _breaker,
    "throttled_requests": _throttled,
}
