"""What happens too often for a row each, added up by interval.

The HTTP numbers and the breaker's state at each payment attempt become a few rows every
`INTERVAL_SECONDS` in each process that saw any.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from retail.observability.catalogue import BREAKER_STATES

INTERVAL_SECONDS = 10

# Upper bounds in milliseconds, for percentiles over any span of rows; the last is "longer".
DURATION_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)

Row = tuple[str, float, dict[str, Any]]


@dataclass
class _Http:
    count: int = 0
    errors: int = 0  # 5xx
    client_errors: int = 0  # 4xx
    sum_ms: float = 0
    max_ms: float = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BOUNDS_MS) + 1))

    def rows(self) -> list[Row]:
        counts = {"count": self.count, "interval_seconds": INTERVAL_SECONDS}
        return [
            (
                "error_rate",
                100 * self.errors / self.count,
                {**counts, "errors": self.errors, "client_errors": self.client_errors},
            ),
            (
                "avg_response_time",
                self.sum_ms / self.count,
                {**counts, "max_ms": self.max_ms, "buckets": self.buckets},
            ),
        ]


class Intervals:
    """Adds up until `drain` is called; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._http = _Http()
        self._breaker: dict[str, dict[str, int]] = {}
        self._last_state: dict[str, str] = {}
        self._started = time.monotonic()

    def add_request(self, status: int, seconds: float) -> None:
        """Add one answered request."""
        milliseconds = seconds * 1000
        with self._lock:
            http = self._http
            http.count += 1
            http.errors += status >= 500  # noqa: PLR2004 - server errors
            http.client_errors += 400 <= status < 500  # noqa: PLR2004 - client errors
            http.sum_ms += milliseconds
            http.max_ms = max(http.max_ms, milliseconds)
            for index, bound in enumerate(DURATION_BOUNDS_MS):  # noqa: B007 - used below
                if milliseconds <= bound:
                    break
            else:
                index = len(DURATION_BOUNDS_MS)
            http.buckets[index] += 1

    def add_breaker_state(self, breaker: str, state: str) -> None:
        """Add the state a payment attempt found the breaker in."""
        with self._lock:
            attempts = self._breaker.setdefault(breaker, dict.fromkeys(BREAKER_STATES, 0))
            attempts[state] += 1
            self._last_state[breaker] = state

    @property
    def empty(self) -> bool:
        """Whether nothing has been added since the last drain."""
        return not self._http.count and not self._breaker

    @property
    def due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() - self._started >= INTERVAL_SECONDS

    def drain(self) -> list[Row]:
        """Return the rows of what was added since the last call, and begin anew."""
        with self._lock:
            rows = self._http.rows() if self._http.count else []
            for breaker, attempts in self._breaker.items():
                state = self._last_state[breaker]
                rows.append(
                    (
                        "circuit_breaker_state",
                        BREAKER_VALUE[state],
                        {
                            "breaker": breaker,
                            "state": state.upper(),
                            "attempts": attempts,
                            "count": sum(attempts.values()),
                        },
                    )
                )
            self._begin()
        return rows


BREAKER_VALUE = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
"""The breaker's state as the number of a row."""
