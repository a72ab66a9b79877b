"""An HTTP client that costs next to nothing, since it shares the machine with what it measures.

One process, non-blocking sockets, requests prepared as bytes; only the status and the length of an
answer are read. `run` is a closed loop: each client sends its next request when it has its answer.

Connections are kept for a limited number of requests: an idle process of a server accepts all
connections of a burst, and would go on to serve them alone.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.support.tables import percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOST = "127.0.0.1"
PATIENCE = 60  # seconds without any answer after which a run is given up
REQUESTS = 20  # that one connection is used for
PAUSE = 0.003  # seconds between the first connections
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


class LoadError(Exception):
    """The server did not answer as HTTP servers do."""


@dataclass
class Load:
    """What a run of requests gave: one entry of `statuses` and `seconds` for each answer."""

    duration: float = 0.0  # seconds from the first request to the last answer
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)  # the first answer of each status

    def note(self, answer: bytes, seconds: float) -> None:
        """Add an answer that took so long."""
        status = int(answer[9:12])
        self.statuses.append(status)
        self.seconds.append(seconds)
        self.bodies.setdefault(status, answer)

    def count(self, status: int) -> int:
        """Return how many answers had the status."""
        return self.statuses.count(status)

    def only(self, *expected: int) -> Load:
        """Return this load. Raises LoadError if an answer had a status that is not expected."""
        if strange := {status: n for status, n in Counter(self.statuses).items()
                       if status not in expected}:  # fmt: skip
            said = self.bodies[min(strange)].decode(errors="replace")
            raise LoadError(f"expected {expected}, got {strange} beside; first: {said[:1500]}")
        return self

    def rate(self, status: int) -> float:
        """Return how many answers of the status came per second."""
        return self.count(status) / self.duration

    def milliseconds(self, share: float) -> float:
        """Return the latency that `share` (0 to 1) of the answers did not exceed."""
        return percentile(self.seconds, share) * 1000


class Connection:
    """One client: at most one request under way."""

    def __init__(self, port: int, requests: int) -> None:
        self._port = port
        self.open()
        self._left = requests

    def open(self) -> None:
        """Connect."""
        self._left = REQUESTS
        self.socket = socket.create_connection((HOST, self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.started = 0.0

    def renew(self, answer: bytes) -> None:
        """Open another connection if the answer closes this one, or it was used enough."""
        self._left -= 1
        if self._left <= 0 or _CLOSES.search(answer.partition(b"\r\n\r\n")[0]):
            self.socket.close()
            self.open()

    def send(self, request: bytes, due: float | None = None) -> None:
        """Send a request; its latency counts from `due`, or from now."""
        self.started = time.perf_counter() if due is None else due
        if self.socket.send(request) != len(request):
            raise LoadError("a request larger than the socket's buffer")

    def answer(self) -> bytes | None:
        """Return the answer if all of it has come."""
        part = self.socket.recv(262_144)
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if separator else None
        if separator and length is None:
            raise LoadError(f"an answer without a length: {self.received[:600]!r}")
        if length is not None and len(body) >= int(length[1]):
            answer, self.received = self.received, b""
            return answer
        if not part:
            raise LoadError(f"the server hung up in the middle: {self.received[:300]!r}")
        return None


def run(port: int, requests: Iterable[bytes], *, clients: int, seconds: float) -> Load:
    """Send the requests, each once, until they or the seconds are used up (closed loop)."""
    load, waiting = Load(), iter(requests)
    with selectors.DefaultSelector() as selector:
        connections = []
        for number in range(clients):
            time.sleep(PAUSE)
            # Not all of them are renewed at the same moment.
            connections.append(Connection(port, 1 + number % REQUESTS))
        began = time.perf_counter()
        try:
            busy = sum(_next(one, selector, waiting) for one in connections)
            while busy:
                events = selector.select(PATIENCE)
                if not events:
                    raise LoadError(f"no answer for {PATIENCE} s")
                for key, _ in events:
                    one: Connection = key.data
                    if (answer := one.answer()) is None:
                        continue
                    now = time.perf_counter()
                    load.note(answer, now - one.started)
                    selector.unregister(one.socket)
                    one.renew(answer)
                    over = now - began >= seconds
                    busy -= over or not _next(one, selector, waiting)
            load.duration = time.perf_counter() - began
        finally:
            for one in connections:
                one.socket.close()
    return load


def _next(one: Connection, selector: selectors.BaseSelector, waiting: Iterator[bytes]) -> bool:
    request = next(waiting, None)
    if request is None:
        return False
    selector.register(one.socket, selectors.EVENT_READ, one)
    one.send(request)
    return True


def post(path: str, fields: str, cookies: str = "") -> bytes:
    """Return a POST request; `fields` are a form's, already encoded."""
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(fields)}",
        *([f"Cookie: {cookies}"] if cookies else []),
    ]
    return "\r\n".join([*head, "", fields]).encode()


def get(path: str, cookies: str = "") -> bytes:
    """Return a GET request."""
    head = [f"GET {path} HTTP/1.1", f"Host: {HOST}", *([f"Cookie: {cookies}"] if cookies else [])]
    return "\r\n".join([*head, "", ""]).encode()
