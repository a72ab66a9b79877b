"""Mergeable aggregates of a metric over a time step. Merging is commutative and associative.

`aggregates` summarize the rows' metadata, by metric type (docs/metrics.md). Their type decides how
they merge: numbers are added, except that `max_ms` and `..._max_ms` take the maximum; lists are
added element by element; text is an amount of money.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from retail.observability.rows.intervals import (
    BREAKER_STATES,
    BREAKER_VALUE,
    DURATION_BOUNDS_MS,
    FAST_FAIL_BOUNDS_MS,
)
from retail.observability.rows.types import MOST, events, is_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOUNDS = {len(bounds) + 1: bounds for bounds in (DURATION_BOUNDS_MS, FAST_FAIL_BOUNDS_MS)}

Aggregates = dict[str, Any]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Point:
    """Aggregates of one metric type over one step, or merged from several steps."""

    start: datetime
    count: int  # number of events
    total: float  # sum of value times events
    minimum: float
    maximum: float
    aggregates: Aggregates = field(default_factory=dict)

    @property
    def average(self) -> float:
        """The average over events."""
        return self.total / self.count if self.count else 0.0


def floor(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the minute, hour or day (UTC) that contains `moment`."""
    moment = moment.astimezone(UTC)
    return moment - (moment - _EPOCH) % step


def point_of(kind: str, value: float, metadata: Any, start: datetime) -> Point:
    """Return the point of one row of the Metric table. Invalid metadata are ignored."""
    metadata = metadata if isinstance(metadata, dict) else {}
    count = events(metadata)
    aggregates = _AGGREGATES[kind](metadata, count, value) if kind in _AGGREGATES else {}
    return Point(start, count, value * count, value, value, aggregates)


class Accumulator:
    """Merges points one by one, without changing them."""

    def __init__(self, first: Point) -> None:
        self.point = first
        self._aggregates: Aggregates | None = None  # a copy, made with the second point

    def add(self, more: Point) -> None:
        """Merge one more point. The result starts with the earliest one."""
        known = self.point
        if self._aggregates is None:
            self._aggregates = _copied(known.aggregates)
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
    """Accumulators by key."""

    def add(self, key: Key, point: Point) -> None:
        """Merge a point into the accumulator of this key."""
        known = self.get(key)
        if known is None:
            self[key] = Accumulator(point)
        else:
            known.add(point)

    def points(self) -> dict[Key, Point]:
        """Return the merged point of each key."""
        return {key: accumulator.point for key, accumulator in self.items()}


def merged(points: Iterable[Point]) -> Point | None:
    """Return all points merged into one, or None if there are none."""
    sums: Accumulators[None] = Accumulators()
    for point in points:
        sums.add(None, point)
    return sums[None].point if sums else None


def _copied(value: Any) -> Any:
    """Return a deep copy."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return list(value) if isinstance(value, list) else value


def _merge(into: Aggregates, more: Aggregates) -> None:
    """Merge `more` into `into`, in place."""
    for name, value in more.items():
        known = into.get(name)
        if known is None:
            into[name] = _copied(value)
        elif isinstance(value, dict):
            _merge(known, value)
        elif isinstance(value, list):
            into[name] = [a + b for a, b in zip_longest(known, value, fillvalue=0)]
        elif isinstance(value, str):
            into[name] = str(Decimal(known) + Decimal(value))
        elif name.endswith("max_ms"):
            into[name] = max(known, value)
        else:
            into[name] = known + value


def quantile(buckets: Sequence[int], share: float, most: float | None = None) -> float | None:
    """Return the quantile `share` (0 to 1) of durations in milliseconds; None if there are none.

    `buckets` are the counts between DURATION_BOUNDS_MS or FAST_FAIL_BOUNDS_MS; their number decides
    which. Interpolates like Prometheus' histogram_quantile, which returns the last bound for
    anything beyond it. With the longest duration as `most`, results beyond the last bound are
    interpolated up to it, and no result exceeds it. Raises ValueError for any other number of
    buckets, or for a share not in (0, 1].
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
    duration = lower + (upper - lower) * (rank - below) / buckets[place]
    return min(duration, most) if most else duration


def _whole(value: Any) -> int:
    return value if is_count(value) else 0


def _product(value: float, count: float) -> float:
    """Return the product, as an integer if it is one but for rounding."""
    product = round(value * count, 6)
    return int(product) if product.is_integer() else product


def _longest(value: Any) -> float:
    valid = type(value) in {int, float} and 0 < value <= MOST
    return float(value) if valid else 0.0


def _buckets(value: Any, bounds: Sequence[float]) -> list[int]:
    counts = value if isinstance(value, list) and len(value) == len(bounds) + 1 else []
    return [_whole(count) for count in counts] or [0] * (len(bounds) + 1)


def _errors(metadata: Aggregates, count: int, value: float) -> Aggregates:
    given = "errors" in metadata
    return {
        "errors": _whole(metadata["errors"]) if given else _product(value, count / 100),
        "client_errors": _whole(metadata.get("client_errors")),
    }


def _durations(metadata: Aggregates, count: int, value: float) -> Aggregates:
    """Without buckets, every request took as long as their average."""
    buckets = _buckets(metadata.get("buckets"), DURATION_BOUNDS_MS)
    if "buckets" not in metadata:
        buckets[bisect_left(DURATION_BOUNDS_MS, value)] = count
    return {"buckets": buckets, "max_ms": _longest(metadata.get("max_ms", value))}


def _breaker(metadata: Aggregates, count: int, value: float) -> Aggregates:
    """Aggregate the rows for an interval's attempts, its fast fails, and each transition.

    Any other row is an attempt in the state of its value.
    """
    given = metadata.get("attempts")
    attempts = given if isinstance(given, dict) else {}
    moved = metadata.get("transition") is True
    other = not {"transition", "attempts", "fast_fails"} & metadata.keys()
    here = {state: count if BREAKER_VALUE[state] == value else 0 for state in BREAKER_STATES}
    none = dict.fromkeys(BREAKER_STATES, 0)
    return {
        "attempts": here
        if other
        else {state: _whole(attempts.get(state)) for state in BREAKER_STATES},
        "transitions": here if moved else none,
        "fast_fails": _whole(metadata.get("fast_fails")),
        "fast_fail_buckets": _buckets(metadata.get("fast_fail_buckets"), FAST_FAIL_BOUNDS_MS),
        "fast_fail_max_ms": _longest(metadata.get("fast_fail_max_ms")),
    }


def _throttled(metadata: Aggregates, count: int, value: float) -> Aggregates:
    scope = metadata.get("scope")
    return {"by_scope": {scope if isinstance(scope, str) else "unknown": _product(value, count)}}


_AGGREGATES: dict[str, Callable[[Aggregates, int, float], Aggregates]] = {
    "error_rate": _errors,
    "avg_response_time": _durations,
    "circuit_breaker_state": _breaker,
    "throttled_requests": _throttled,
}
