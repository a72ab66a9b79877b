"""The HTTP client as an open loop: requests are sent when due, whatever the server does."""

from __future__ import annotations

import selectors
import time
from collections import deque
from typing import TYPE_CHECKING

from benchmarks.support.client import PATIENCE, REQUESTS, Connection, Load, LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 256  # connections; arrivals beyond them wait, and their wait counts


def schedule(count: int, rate: float) -> list[float]:
    """Return when each of so many requests is due, in seconds from the first: evenly spaced."""
    return [number / rate for number in range(count)]


def run(port: int, requests: Sequence[bytes], *, rate: float, connections: int = MOST) -> Load:
    """Send each request when it is due, `rate` a second, and wait for all answers.

    Latencies count from the scheduled time: a request that waits for a connection, or is sent late
    because the machine is busy, has waited since then (no coordinated omission).
    """
    with selectors.DefaultSelector() as selector:
        arrivals = _Arrivals(port, requests, rate, connections, selector)
        try:
            while arrivals.under_way():
                timeout = arrivals.send_due()
                events = selector.select(timeout)
                if not events and timeout == PATIENCE:
                    raise LoadError(f"no answer for {PATIENCE} s")
                for key, _ in events:
                    arrivals.receive(key.data)
        finally:
            arrivals.close()
    return arrivals.load


class _Arrivals:
    """The state of an open loop."""

    def __init__(
        self,
        port: int,
        requests: Sequence[bytes],
        rate: float,
        most: int,
        selector: selectors.BaseSelector,
    ) -> None:
        self.load = Load()
        self._port, self._most, self._selector = port, most, selector
        self._connections: list[Connection] = []
        self._idle: deque[Connection] = deque()  # first in, first out: all are used in turn
        self._began = time.perf_counter()
        due = (self._began + after for after in schedule(len(requests), rate))
        self._waiting = deque(zip(due, requests, strict=True))

    def under_way(self) -> bool:
        """Return whether requests or answers are outstanding."""
        return bool(self._waiting) or len(self._idle) < len(self._connections)

    def send_due(self) -> float:
        """Send what is due; return how many seconds the next event may take."""
        while self._waiting and (self._idle or len(self._connections) < self._most):
            due, request = self._waiting[0]
            if (left := due - time.perf_counter()) > 0:
                return left
            self._waiting.popleft()
            one = self._connection()
            self._selector.register(one.socket, selectors.EVENT_READ, one)
            one.send(request, due)
        return PATIENCE

    def _connection(self) -> Connection:
        if self._idle:
            return self._idle.popleft()
        self._connections.append(Connection(self._port, REQUESTS))
        return self._connections[-1]

    def receive(self, one: Connection) -> None:
        """Read what has come on a connection, and note the answer once it is complete."""
        if (answer := one.answer()) is None:
            return
        now = time.perf_counter()
        self.load.note(answer, now - one.started)
        self.load.duration = now - self._began
        self._selector.unregister(one.socket)
        one.renew(answer)
        self._idle.append(one)

    def close(self) -> None:
        for one in self._connections:
            one.socket.close()
