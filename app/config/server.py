"""gunicorn's threaded worker, with threads kept free for probes (docs/adr/0018)."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.workers.gthread import TConn, ThreadWorker

from retail.observability.context import accepted_request_id, request_context, waited

# Threads of each probe. One probe never waits for another.
PROBE_THREADS = {b"/healthz": 1, b"/readyz": 2, b"/metrics": 2}
_HEADER_BYTES = 8192  # a probe's request is shorter


def probe_of(client: socket.socket) -> bytes | None:
    """Return the path of the probe that a client has requested; b"" for any other request.

    None if it has sent nothing yet. The request stays unread, and must have arrived completely: a
    client that sends half of one must not hold a thread of the probes.
    """
    try:
        head = client.recv(_HEADER_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    path = head.split(b" ", 2)[1:2]
    probe = path[0].partition(b"?")[0] if path else b""
    return probe if probe in PROBE_THREADS and b"\r\n\r\n" in head else b""


class ProbeWorker(ThreadWorker):  # type: ignore[misc]  # it has no types
    """Answers probes even while all other threads wait, for example for a database that hangs.

    It also tells the shop for how long a request has waited for its thread, and sends a request id
    with the errors that gunicorn answers by itself.
    """

    def init_process(self) -> None:
        """Start the threads of the probes, then serve."""
        self._busy = 0  # threads of ordinary requests in use, and requests that wait for one
        self._lanes = {path: ThreadPoolExecutor(most) for path, most in PROBE_THREADS.items()}
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Pass a connection to a free thread; if there is none, a probe to one of its own."""
        conn.lane = None
        if self._busy >= self.cfg.threads:
            probe = probe_of(conn.sock)
            if probe is None and not conn.initialized:
                self._await_request(conn)
                return
            conn.lane = self._lanes.get(probe or b"")
        if conn.lane is None:
            self._busy += 1
        conn.enqueued_at = time.monotonic()
        done = (conn.lane or self.tpool).submit(self.handle, conn)
        done.add_done_callback(lambda it: self.method_queue.defer(self.finish_request, conn, it))

    def _await_request(self, conn: TConn) -> None:
        """Wait until a new connection has sent something, without a thread."""
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Count the thread as free, and do what gunicorn does."""
        if conn.lane is None:
            self._busy -= 1
        super().finish_request(conn, fs)

    def handle(self, conn: TConn) -> Any:
        """Handle a request, in its thread."""
        waited.seconds = time.monotonic() - conn.enqueued_at
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that never reached the shop, or failed outside of it."""
        if isinstance(exc, UnsupportedTransferCoding):
            exc = InvalidHeader("TRANSFER-ENCODING")  # 400: a stranger's mistake, not the shop's
        request_id = accepted_request_id(None)
        with request_context(request_id):
            super().handle_error(req, _Labelled(client, request_id), addr, exc)


class _Labelled:
    """A client's socket that adds the request id to the one response sent through it."""

    def __init__(self, client: socket.socket, request_id: str) -> None:
        self._client = client
        self._header = f"X-Request-ID: {request_id}\r\n".encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def sendall(self, response: bytes) -> None:
        """Send the response with the header after its first line."""
        status, end, rest = response.partition(b"\r\n")
        self._client.sendall(status + end + self._header + rest)
