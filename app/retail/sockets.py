"""Conversations with other servers that end: by the clock, and by how much is received.

A socket's own timeout starts again with every byte. A server that sends one byte a second is
therefore never too slow for it, and one that never stops sending never too large.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Socket = socket.socket
else:
    _Socket = object


class TooMuchDataError(OSError):
    """A server has sent more than its answer may have."""


@dataclass
class _Bounds:
    until: float  # by `monotonic`
    left: float  # bytes


_bounds: ContextVar[_Bounds | None] = ContextVar("bounds", default=None)


@contextmanager
def bounded(*, seconds: float, size: float = inf) -> Iterator[None]:
    """Limit what the `with` block does on bound sockets: in all, to so many seconds and bytes.

    Beyond them, sending and receiving raise TimeoutError or TooMuchDataError. Inside another one,
    the earlier end counts.
    """
    until = monotonic() + seconds
    if (outer := _bounds.get()) is not None:
        until = min(until, outer.until)
    token = _bounds.set(_Bounds(until, size))
    try:
        yield
    finally:
        _bounds.reset(token)


def seconds_left(most: float | None) -> float | None:
    """Return the seconds until the end of the `with` block, and at most `most` (None: no limit).

    Raises TimeoutError after the end.
    """
    bounds = _bounds.get()
    if bounds is None:
        return most
    left = bounds.until - monotonic()
    if left <= 0:
        raise TimeoutError("the conversation took too long in all")
    return left if most is None else min(most, left)


class _Bound(_Socket):
    """Applies the bounds of the current `with` block to a socket."""

    __slots__ = ()

    def recv(self, *args: Any) -> bytes:
        """Receive some bytes."""
        with self._in_time():
            data = super().recv(*args)
        _count(len(data))
        return data

    def recv_into(self, *args: Any) -> int:
        """Receive some bytes into a buffer."""
        with self._in_time():
            count = super().recv_into(*args)
        _count(count)
        return count

    def send(self, *args: Any) -> int:
        """Send some of the bytes."""
        with self._in_time():
            return super().send(*args)

    def sendall(self, *args: Any) -> None:
        """Send all bytes."""
        with self._in_time():
            super().sendall(*args)

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """Let the socket wait no longer than is left, if that is shorter than its own timeout."""
        own = self.gettimeout()
        self.settimeout(seconds_left(own))
        try:
            yield
        finally:
            if self.fileno() >= 0:
                self.settimeout(own)


def _count(received: int) -> None:
    if (bounds := _bounds.get()) is None:
        return
    bounds.left -= received
    if bounds.left < 0:
        raise TooMuchDataError("the server sent too much")


class _BoundPlain(_Bound, socket.socket):
    __slots__ = ()


class _BoundTls(_Bound, ssl.SSLSocket):
    __slots__ = ()


def bind(sock: socket.socket) -> socket.socket:
    """Make a connected socket obey `bounded`, and return it."""
    # The libraries that create the sockets cannot be given another class.
    sock.__class__ = _BoundTls if isinstance(sock, ssl.SSLSocket) else _BoundPlain
    return sock
