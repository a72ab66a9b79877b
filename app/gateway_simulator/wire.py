"""Access to the client's connection: close it without a response, or wait on it."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from flask import Response, request

_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def close_unanswered() -> Response:
    """Close the client's connection without sending a byte.

    The returned response is written to the closed socket and lost; gunicorn treats that like a
    client that has disconnected. Only a test client, which has no socket, sees it: an empty 503.
    """
    sock = _socket()
    if sock is not None:
        with suppress(OSError):  # the client has already closed it
            # Both directions; otherwise gunicorn's main thread would wait for the client.
            sock.shutdown(socket.SHUT_RDWR)
    return Response(status=503)


def stay_silent(seconds: float) -> None:
    """Wait until the time is over or the client disconnects, to free the thread early."""
    sock = _socket()
    if sock is None:
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(sock, _GONE)
    poll.poll(seconds * 1000)


def trickling(answer: Response, sleep: Callable[[float], None]) -> Response:
    """Return the response with a body that takes a second for each byte."""
    body = answer.get_data()

    def byte_by_byte() -> Iterator[bytes]:
        for number in range(len(body)):
            sleep(1)
            yield body[number : number + 1]

    answer.response = byte_by_byte()
    return answer


def _socket() -> socket.socket | None:
    return request.environ.get("gunicorn.socket")
