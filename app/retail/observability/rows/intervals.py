"""What happens too often for a row each, added up by interval.

The HTTP numbers, the breaker's state at each payment attempt and the answers it made fast become a
few rows every `INTERVAL_SECONDS` in each process that saw any. So do refusals and conflicts beyond
the first `EVENTS_APART` of an interval: a flood of them is folded, and none is lost.
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
"""The value of a row, by the circuit breaker's state."""
BREAKER_STATES = tuple(BREAKER_VALUE)

# Upper bounds in milliseconds, for percentiles over any span of rows; the last is "longer".
DURATION_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
# Of the answers while the breaker is open; the limit on them (fast_fail) is one of the bounds.
FAST_FAIL_BOUNDS_MS = (1, 2.5, 5, 10, 25, 50, 75, 100, 150, 250, 500, 1000)

FOLDED_TYPES = frozenset({"stock_conflicts", "throttled_requests"})
EVENTS_APART = 20  # of one type and scope in an interval have rows of their own
ERRORS_NAMED = 20  # the latest answers 5xx of an interval, with their request ids
MOST_SCOPES = 50  # known in an interval; what comes with more of them is folded under "other"

Row = tuple[str, float, dict[str, Any]]


@dataclass
class _Times:
    """Durations, in milliseconds."""

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
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ERRORS_NAMED))

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
    """Events of one type and scope: how many had rows of their own, and those that had none."""

    apart: int = 0
    count: int = 0
    total: float = 0


class Intervals:
    """Adds up until `drain` is called; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._http = _Http()
        self._breaker: dict[str, dict[str, int]] = {}
        self._last_state: dict[str, str] = {}
        self._fast_fails = _Times(FAST_FAIL_BOUNDS_MS)
        self._events: dict[tuple[str, str], _Events] = {}
        self._started = time.monotonic()

    def add_request(
        self, status: int, seconds: float, view: str = "", request_id: str = ""
    ) -> None:
        """Add one answered request; of the latest answers 5xx, view and id are kept."""
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

    def add_fast_fail(self, seconds: float) -> None:
        """Add a request that was refused because the breaker was open, and how long that took."""
        with self._lock:
            self._fast_fails.add(seconds * 1000)

    def add_event(self, metric_type: str, value: float, metadata: dict[str, Any]) -> bool:
        """Say whether an event may have a row of its own; if not, it has been folded.

        Only events of FOLDED_TYPES that stand for themselves alone are ever folded.
        """
        if metric_type not in FOLDED_TYPES or "count" in metadata:
            return True
        scope = str(metadata.get("scope", ""))
        with self._lock:
            place = (metric_type, scope)
            if place not in self._events and len(self._events) >= MOST_SCOPES:
                place = (metric_type, "other")
            events = self._events.setdefault(place, _Events())
            if events.apart < EVENTS_APART and place[1] == scope:
                events.apart += 1
                return True
            events.count += 1
            events.total += value
            return False

    def add_breaker_state(self, breaker: str, state: str) -> None:
        """Add the state a payment attempt found the breaker in."""
        with self._lock:
            attempts = self._breaker.setdefault(breaker, dict.fromkeys(BREAKER_STATES, 0))
            attempts[state] += 1
            self._last_state[breaker] = state

    @property
    def empty(self) -> bool:
        """Whether nothing has been added since the last drain."""
        seen = self._http.times.count or self._fast_fails.count or self._breaker or self._events
        return not seen

    @property
    def due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() - self._started >= INTERVAL_SECONDS

    def drain(self) -> list[Row]:
        """Return the rows of what was added since the last call, and begin anew."""
        with self._lock:
            rows = self._http.rows() if self._http.times.count else []
            rows += self._breaker_rows()
            for (metric_type, scope), events in self._events.items():
                if events.count:
                    counted = {"count": events.count, "folded": True}
                    facts = {"scope": scope, **counted} if scope else counted
                    rows.append((metric_type, events.total / events.count, facts))
            self._begin()
        return rows

    def _breaker_rows(self) -> list[Row]:
        rows: list[Row] = []
        for breaker, attempts in self._breaker.items():
            state = self._last_state[breaker]
            facts = {
                "breaker": breaker,
                "state": state.upper(),
                "attempts": attempts,
                "count": sum(attempts.values()),
            }
            rows.append(("circuit_breaker_state", BREAKER_VALUE[state], facts))
        if count := self._fast_fails.count:
            facts = {
                "state": "OPEN",
                "fast_fails": count,
                "fast_fail_max_ms": self._fast_fails.max_ms,
                "fast_fail_buckets": self._fast_fails.buckets,
                "count": count,
            }
            rows.append(("circuit_breaker_state", BREAKER_VALUE["open"], facts))
        return rows
