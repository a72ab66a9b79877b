"""gunicorn's threaded worker: threads only for requests that have arrived (docs/adr/0018)."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import takewhile
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.util import write_error
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from config.arrivals import Arrival, arrival_of, unread_bytes
from retail.observability.context import accepted_request_id, request_context, waited
from retail.web.headers import BARE_HEADERS

# Threads of each probe. One probe never waits for another.
PROBE_THREADS = {b"/healthz": 1, b"/readyz": 2, b"/metrics": 2}
ARRIVAL_SECONDS = 10.0  # for the header and a small body
SLOW_THREADS = 2  # for what cannot be waited for without a thread, such as large bodies
SLOW_SECONDS = 20.0
LINGER_SECONDS = 2.0  # between two pieces of what is not read
_LINGER_BYTES = 64 * 1024
_SEND_BUFFER = 256 * 1024  # bytes: holds a page, so that a client that reads slowly holds no thread


class ProbeWorker(ThreadWorker):  # type: ignore[misc]  # it has no types
    """Gives no thread to slow clients, and answers probes even while all threads wait.

    A connection gets a thread once its request has arrived, with a small body; until then, the main
    thread waits for it, not for long. If all threads are busy, for example with a database that
    hangs, probes have threads of their own. The worker also tells the shop for how long a request
    has waited for its thread, and completes the headers of errors that gunicorn answers by itself.
    """

    def init_process(self) -> None:
        """Start the threads of probes and slow requests, then serve."""
        self._busy = 0  # threads of ordinary requests in use, and requests that wait for one
        self._lanes = {path: ThreadPoolExecutor(most) for path, most in PROBE_THREADS.items()}
        self._slow_lane = ThreadPoolExecutor(SLOW_THREADS)
        # Connections by the time at which they are given up, the next first.
        self._arriving: dict[TConn, float] = {}
        self._slow: dict[TConn, float] = {}
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Pass a connection to a thread if its request has arrived; otherwise wait for it."""
        if not conn.initialized:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if conn.initialized and conn.parser.unreader.buf.getvalue():
            self._submit(conn, Arrival(is_slow=True))  # part of it has been read already
            return
        arrival = arrival_of(conn.sock)
        if arrival.missing_until:
            self._await(conn, arrival.missing_until)
        else:
            self._submit(conn, arrival)

    def _await(self, conn: TConn, size: int) -> None:
        """Wait, without a thread, until so many bytes have arrived."""
        conn.sock.setblocking(False)
        conn.awaited = size
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
        self._arriving.setdefault(conn, time.monotonic() + ARRIVAL_SECONDS)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_arrival, conn))

    def _on_arrival(self, conn: TConn, client: socket.socket) -> None:
        """Look at a request of which more has arrived."""
        self.poller.unregister(client)
        if unread_bytes(client) < conn.awaited:  # no more will come
            self._submit(conn, Arrival(is_slow=True))
            return
        self.enqueue_req(conn)

    def _submit(self, conn: TConn, arrival: Arrival) -> None:
        """Pass a connection to a thread that reads it; if none is free, a probe to one of its."""
        if self._arriving.pop(conn, None) is not None:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        conn.data_ready = True
        conn.lane = None
        if arrival.is_slow:
            conn.lane = self._slow_lane
            self._slow[conn] = time.monotonic() + SLOW_SECONDS
        elif self._busy >= self.cfg.threads:
            conn.lane = self._lanes.get(arrival.path)
        if conn.lane is None:
            self._busy += 1
        conn.enqueued_at = time.monotonic()
        done = (conn.lane or self.tpool).submit(self.handle, conn)
        done.add_done_callback(lambda it: self.method_queue.defer(self.finish_request, conn, it))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Count the thread as free, and do what gunicorn does."""
        self._slow.pop(conn, None)
        if conn.lane is None:
            self._busy -= 1
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Give up connections whose request has not arrived in time; called all the time."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [*takewhile(lambda conn: self._slow[conn] < now, self._slow)]:
            del self._slow[conn]
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)  # whoever reads it sees its end
        if not self.alive:
            now += ARRIVAL_SECONDS - STOP_KEEPALIVE_LINGER
        for conn in [*takewhile(lambda conn: self._arriving[conn] < now, self._arriving)]:
            self._give_up(conn)

    def _give_up(self, conn: TConn) -> None:
        del self._arriving[conn]
        self.poller.unregister(conn.sock)
        if unread_bytes(conn.sock):
            with suppress(OSError):
                client = _Labelled(conn.sock, accepted_request_id(None))
                write_error(client, 408, "Request Timeout", "The request has not arrived in time.")
        self.nr_conns -= 1
        conn.close()

    def handle(self, conn: TConn) -> Any:
        """Handle a request, in its thread."""
        waited.seconds = time.monotonic() - conn.enqueued_at
        kept = super().handle(conn)
        if conn.lane is self._slow_lane and not kept:
            _linger(conn.sock)
        return kept

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the shop, or failed outside of it."""
        if isinstance(exc, UnsupportedTransferCoding):
            exc = InvalidHeader("TRANSFER-ENCODING")  # 400: a stranger's mistake, not the shop's
        request_id = accepted_request_id(None)
        with request_context(request_id):
            super().handle_error(req, _Labelled(client, request_id), addr, exc)


def _linger(client: socket.socket) -> None:
    """Take the rest of a request that was refused unread, for as long as slow requests have.

    A connection that is closed with bytes unread is reset, perhaps before the client, or the proxy
    before it, has read the response.
    """
    with suppress(OSError):
        client.settimeout(LINGER_SECONDS)
        client.shutdown(socket.SHUT_WR)
        while client.recv(_LINGER_BYTES):
            pass


class _Labelled:
    """A client's socket that adds the common headers to the one response sent through it."""

    def __init__(self, client: socket.socket, request_id: str) -> None:
        self._client = client
        headers = {"X-Request-ID": request_id, **BARE_HEADERS}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, response: bytes) -> None:
        """Send the response with the headers after its first line."""
        status, end, rest = response.partition(b"\r\n")
        self._client.sendall(status + end + self._headers + rest)
