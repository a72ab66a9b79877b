"""Aggregates frequent events by interval, because a row for each would be too many.

Requests, payment attempts and fast fails become a few rows per `INTERVAL_SECONDS` and process.
Throttled requests and stock conflicts beyond the first `UNFOLDED_EVENTS` of an interval are folded
into one row. No event is lost.
"""

import threading
import time
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

INTERVAL_SECONDS = 10

BREAKER_VALUE = {"closed": 0.0, "open": 2.0, "half_open": 1.0}
"""Value of a metric row, by circuit breaker state."""
BREAKER_STATES = tuple(BREAKER_VALUE)

# Upper bounds in milliseconds, for percentiles over any range; one more bucket is unbounded.
DURATION_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
# For fast fails. Their threshold is one of the bounds.
FAST_FAIL_BOUNDS_MS = (1, 2.5, 5, 10, 25, 50, 75, 100, 150, 250, 500, 1000)

FOLDED_TYPES = frozenset({"stock_conflicts", "throttled_requests"})
UNFOLDED_EVENTS = 20  # per interval, type and scope; each gets a row
RECENT_ERRORS = 20  # latest 5xx of an interval, kept with their request ids
MOST_SCOPES = 50  # per interval; further scopes are folded as "other"
MOST_BUYERS = 1000  # named per interval among those refused by the open breaker

Row = tuple[str, float, dict[str, Any]]


@dataclass
class _Times:
    """Histogram of durations in milliseconds."""

    bounds: tuple[float, ...]
    count: int = 0
    max_ms: float = 0
    sum_ms: float = 0
    buckets: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = [0] * (len(self.bounds) + 1)

    def add(self, milliseconds: float) -> None:
        self.count += 1
        self.sum_ms += milliseconds
        self.max_ms = max(self.max_ms, milliseconds)
        self.buckets[bisect_left(self.bounds, milliseconds)] += 1


@dataclass
class _Http:
    errors: int = 0  # 5xx
    client_errors: int = 0  # 4xx
    times: _Times = field(default_factory=lambda: _Times(DURATION_BOUNDS_MS))
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT_ERRORS))

    def rows(self) -> list[Row]:
        counts = {"count": self.times.count, "interval_seconds": INTERVAL_SECONDS}
        named = {"recent": list(self.recent)} if self.recent else {}
        return [
            (
                "error_rate",
                100 * self.errors / self.times.count,
                {**counts, "errors": self.errors, "client_errors": self.client_errors, **named},
            ),
            (
                "avg_response_time",
                self.times.sum_ms / self.times.count,
                {**counts, "max_ms": self.times.max_ms, "buckets": self.times.buckets},
            ),
        ]


@dataclass
class _Events:
    """Events of one type and scope: the number with their own row, and the folded ones."""

    unfolded: int = 0
    count: int = 0
    total: float = 0


class Intervals:
    """Aggregates events until `drain` is called. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._http = _Http()
        self._breaker: dict[str, dict[str, int]] = {}
        self._last_state: dict[str, str] = {}
        self._fast_fails = _Times(FAST_FAIL_BOUNDS_MS)
        self._refused_buyers: set[str] = set()
        self._events: dict[tuple[str, str], _Events] = {}
        self._started = time.monotonic()

    def add_request(
        self, status: int, seconds: float, view: str = "", request_id: str = ""
    ) -> None:
        """Add a request; the latest 5xx are kept with view and request id."""
        milliseconds = seconds * 1000
        with self._lock:
            http = self._http
            if status >= 500:  # noqa: PLR2004 - server errors
                http.errors += 1
                at = datetime.now(UTC).isoformat(timespec="milliseconds")
                http.recent.append(
                    {"request_id": request_id, "view": view, "status": status, "at": at}
                )
            http.client_errors += 400 <= status < 500  # noqa: PLR2004 - client errors
            http.times.add(milliseconds)

    def add_fast_fail(self, seconds: float, buyer: str = "") -> None:
        """Add the duration of a buyer's request that was refused because the breaker was open."""
        with self._lock:
            self._fast_fails.add(seconds * 1000)
            if buyer and len(self._refused_buyers) < MOST_BUYERS:
                self._refused_buyers.add(buyer)

    def add_event(self, metric_type: str, value: float, metadata: dict[str, Any]) -> bool:
        """Return True if the event should get its own row; otherwise fold it and return False.

        Only single events of FOLDED_TYPES are folded.
        """
        if metric_type not in FOLDED_TYPES or "count" in metadata:
            return True
        scope = str(metadata.get("scope", ""))
        with self._lock:
            place = (metric_type, scope)
            if place not in self._events and len(self._events) >= MOST_SCOPES:
                place = (metric_type, "other")
            events = self._events.setdefault(place, _Events())
            if events.unfolded < UNFOLDED_EVENTS and place[1] == scope:
                events.unfolded += 1
                return True
            events.count += 1
            events.total += value
            return False

    def add_breaker_state(self, breaker: str, state: str) -> None:
        """Add the breaker's state at a payment attempt."""
        with self._lock:
            attempts = self._breaker.setdefault(breaker, dict.fromkeys(BREAKER_STATES, 0))
            attempts[state] += 1
            self._last_state[breaker] = state

    @property
    def empty(self) -> bool:
        """Whether nothing has been added since the last drain."""
        http = self._http.times.count
        return not (http or self._fast_fails.count or self._breaker or self._events)

    @property
    def due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() - self._started >= INTERVAL_SECONDS

    def drain(self) -> list[Row]:
        """Return the rows for everything added since the last call, and start a new interval."""
        with self._lock:
            rows = self._http.rows() if self._http.times.count else []
            rows += self._breaker_rows()
            for (metric_type, scope), events in self._events.items():
                if events.count:
                    counted = {"count": events.count, "folded": True}
                    metadata = {"scope": scope, **counted} if scope else counted
                    rows.append((metric_type, events.total / events.count, metadata))
            self._reset()
        return rows

    def _breaker_rows(self) -> list[Row]:
        rows: list[Row] = []
        for breaker, attempts in self._breaker.items():
            state = self._last_state[breaker]
            metadata = {
                "breaker": breaker,
                "state": state.upper(),
                "attempts": attempts,
                "count": sum(attempts.values()),
            }
            rows.append(("circuit_breaker_state", BREAKER_VALUE[state], metadata))
        if count := self._fast_fails.count:
            metadata = {
                "state": "OPEN",
                "fast_fails": count,
                "fast_fail_max_ms": self._fast_fails.max_ms,
                "fast_fail_buckets": self._fast_fails.buckets,
                "buyers": sorted(self._refused_buyers),
                "count": count,
            }
            rows.append(("circuit_breaker_state", BREAKER_VALUE["open"], metadata))
        return rows
