"""The load generator: an open loop sends on schedule and measures every wait."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.support import client, open_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"


@contextlib.contextmanager
def _server(before_answer: Callable[[], object]) -> Iterator[int]:
    """Serve each connection in its own thread; call a function before each response."""

    def answer(connection: socket.socket) -> None:
        with connection:
            while connection.recv(10_000):
                before_answer()
                connection.sendall(ANSWER)

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                thread = threading.Thread(target=answer, args=(listener.accept()[0],))
                thread.start()
                threads.append(thread)

    threads: list[threading.Thread] = []
    with socket.create_server((client.HOST, 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for thread in threads:
        thread.join()


def test_arrivals_are_evenly_spaced() -> None:
    assert open_loop.schedule(5, rate=4) == [0, 0.25, 0.5, 0.75, 1]
    assert open_loop.schedule(0, rate=4) == []


def test_an_open_loop_does_not_wait_for_responses() -> None:
    """No response comes before all requests are sent; a closed loop would wait forever."""
    everybody = threading.Barrier(5)
    with _server(lambda: everybody.wait(timeout=30)) as port:
        load = open_loop.run(port, [client.get("/")] * 5, rate=50)
    assert load.statuses == [503] * 5
    # The last request is due after 4/50 s, so the first ones waited that long.
    assert max(load.seconds) >= 4 / 50
    assert load.duration >= 4 / 50


def test_waiting_for_a_connection_counts() -> None:
    """With one connection and 50 ms per response, later requests wait for earlier ones."""
    with _server(lambda: time.sleep(0.05)) as port:
        load = open_loop.run(port, [client.get("/")] * 4, rate=1000, connections=1)
    for place, seconds in enumerate(load.seconds):
        assert seconds >= 0.05 * (place + 1) - place / 1000


def test_nothing_is_sent_before_it_is_due() -> None:
    with _server(lambda: None) as port:
        load = open_loop.run(port, [client.get("/")] * 3, rate=20)
    assert load.duration >= 2 / 20
    assert min(load.seconds) > 0


def test_used_connections_are_renewed() -> None:
    requests = client.REQUESTS * 2 + 1
    with _server(lambda: None) as port:
        load = open_loop.run(port, [client.get("/")] * requests, rate=10_000, connections=1)
        assert load.only(503).count(503) == requests


def test_a_closed_loop_sends_each_request_once() -> None:
    with _server(lambda: None) as port:
        load = client.run(port, [client.get("/")] * 7, clients=2, seconds=60)
    assert load.statuses == [503] * 7


def test_an_unexpected_response_is_an_error() -> None:
    load = client.Load(1.0, [503, 500, 503], [0.1, 0.2, 0.3], {503: b"no", 500: b"broken"})
    assert load.only(500, 503) is load
    assert load.rate(503) == 2
    assert load.milliseconds(0.99) == 300
    with pytest.raises(client.LoadError, match="broken"):
        load.only(503)
