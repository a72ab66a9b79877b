"""HTTP calls to another server that end: by the clock, and in size."""

from __future__ import annotations

import select
import socket
import ssl
from functools import cache
from http.client import HTTPConnection, IncompleteRead
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from certifi import where

from retail.sockets import bind, bounded

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS = {"http": 80, "https": 443}


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=where())


class NotConnectedError(OSError):
    """No connection was made, so nothing was sent.

    The cause is a TimeoutError if it took too long.
    """


class Limits(NamedTuple):
    """The most that a call may take: seconds to connect and to be answered, bytes of the answer."""

    connect: float
    read: float
    size: int


class Answer(NamedTuple):
    """A server's answer."""

    status: int
    body: bytes


def connection_to(scheme: str, host: str, address: Any, *, seconds: float) -> HTTPConnection:
    """Connect to exactly this address (as of `getaddrinfo`), with TLS for the host's name.

    Its socket obeys `bounded`, and has no other limits. Raises OSError.
    """
    until = monotonic() + seconds
    sock = socket.create_connection(address[:2], seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "https":
        sock.settimeout(max(0.001, until - monotonic()))
        sock = _tls().wrap_socket(sock, server_hostname=host)
    sock.settimeout(None)
    connection = HTTPConnection(host, address[1])
    connection.default_port = PORTS[scheme]
    connection.auto_open = 0  # it would be without bounds
    connection.sock = bind(sock)
    return connection


class Server:
    """A server, with a keep-alive connection. Not to be shared by threads.

    Follows no redirects, and decompresses nothing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: HTTPConnection | None = None
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"not an http(s) address: {url}")
        self._scheme, self._host = parts.scheme, parts.hostname
        self._base = parts.path.rstrip("/")
        self._port = parts.port or PORTS[parts.scheme]

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        limits: Limits,
    ) -> Answer:
        """Send a request and return the answer.

        Raises NotConnectedError; or, if the request may have been sent, TimeoutError, another
        OSError or HTTPException.
        """
        until = monotonic() + limits.connect + limits.read
        connection = self._kept() or self._connect(limits.connect, until)
        try:
            seconds = min(limits.read, until - monotonic())
            with bounded(seconds=seconds, size=limits.size):
                connection.request(method, f"{self._base}{path}", body, dict(headers))
                with connection.getresponse() as response:
                    content = response.read(limits.size)
                    ended = response.isclosed() and not response.will_close
        except BaseException:
            self.close()  # whatever comes over it would be taken for the next call's answer
            raise
        if not ended:
            self.close()
        if response.length:
            raise IncompleteRead(content, response.length)
        return Answer(response.status, content)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __del__(self) -> None:
        """Close the connection of a thread that has ended."""
        self.close()

    def _kept(self) -> HTTPConnection | None:
        """Return the connection of the last call, unless the server has closed it."""
        if self._connection is None:
            return None
        poll = select.poll()
        poll.register(self._connection.sock.fileno(), select.POLLIN)
        if poll.poll(0):
            self.close()
        return self._connection

    def _connect(self, seconds: float, until: float) -> HTTPConnection:
        """Connect to the first address that answers, each within `seconds`."""
        error: OSError = TimeoutError("no time left to connect")
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as unknown:
            raise NotConnectedError(f"unknown host {self._host}: {unknown}") from unknown
        for *_, address in addresses:
            if monotonic() >= until:
                break
            try:
                self._connection = connection_to(
                    self._scheme, self._host, address, seconds=min(seconds, until - monotonic())
                )
            except OSError as failed:
                error = failed
                continue
            return self._connection
        raise NotConnectedError(str(error)) from error
