"""The client's connection itself: to close it without an answer, or to watch it while silent."""

import select
import socket
import time
from contextlib import suppress

from flask import Response, request

_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def close_unanswered() -> Response:
    """Close the client's connection now; the client sees its end, without a byte of an answer.

    The response returned is written into the closed socket and goes nowhere; gunicorn expects
    that of a client that has gone. Only without a socket (a test client) is it seen: an empty 503.
    """
    sock = _socket()
    if sock is not None:
        with suppress(OSError):  # the client was faster
            # Both ways: gunicorn's main thread would otherwise wait for the client's end.
            sock.shutdown(socket.SHUT_RDWR)
    return Response(status=503)


def stay_silent(seconds: float) -> None:
    """Wait, but not longer than the client does: a thread for nobody is a thread lost."""
    sock = _socket()
    if sock is None:
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(sock, _GONE)
    poll.poll(seconds * 1000)


def _socket() -> socket.socket | None:
    return request.environ.get("gunicorn.socket")
