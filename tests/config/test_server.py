"""The server's own worker: which requests are probes, and what gunicorn answers by itself."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from config.arrivals import Arrival, arrival_of, unread_bytes
from config.server import PROBE_THREADS
from retail.web.headers import BARE_HEADERS as HEADERS
from retail.web.probes import PROBES
from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator

END = b"\r\nHost: x\r\n\r\n"


def test_every_probe_has_threads() -> None:
    assert {path.decode() for path in PROBE_THREADS} == set(PROBES)


@pytest.mark.parametrize(
    ("sent", "arrival"),
    [
        (b"", Arrival(missing_until=1)),
        (b"G", Arrival(missing_until=2)),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", Arrival(missing_until=33)),
        (b"GET /healthz HTTP/1.1" + END, Arrival(b"/healthz")),
        (b"HEAD /readyz?x=1 HTTP/1.1" + END, Arrival(b"/readyz")),
        (b"GET /metrics/dashboard/ HTTP/1.1" + END, Arrival(b"/metrics/dashboard/")),
        (b"GET / HTTP/1.1\r\nX: GET /healthz HTTP/1.1" + END, Arrival(b"/")),
        (b"nonsense\r\n\r\n", Arrival()),
        # What follows may never come, and gunicorn would wait for it.
        (b"\r\n\r\n", Arrival(is_slow=True)),
        (b"\r\n", Arrival(is_slow=True)),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, Arrival(is_slow=True)),
        # Bodies.
        (b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", Arrival(b"/a")),
        (b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", Arrival(b"/a", 42)),
        (b"POST /a HTTP/1.1\r\nX: y\r\ncontent-length:\t3 \r\n\r\nab", Arrival(b"/a", 49)),
        (b"POST /a HTTP/1.1\r\nX: Content-Length: 3\r\n\r\n", Arrival(b"/a")),
        (b"POST /a HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", Arrival(b"/a", is_slow=True)),
        (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Arrival(b"/a", is_slow=True)),
        (b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", Arrival(b"/a", is_slow=True)),
    ],
)
def test_what_has_arrived_is_seen_without_reading_it(sent: bytes, arrival: Arrival) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(sent)
        assert arrival_of(there) == arrival
        assert unread_bytes(there) == len(sent)


def test_a_closed_connection_is_for_a_thread_to_find() -> None:
    here, there = socket.socketpair()
    with there:
        here.close()
        assert arrival_of(there) == Arrival()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path_factory.mktemp("shop"))
    shop.start("web")
    yield shop
    shop.close()


def answer(shop: RunningShop, request: bytes) -> str:
    """Return what is answered to these bytes, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", shop.port), timeout=PATIENCE) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Header: x" + END, 400),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1" + END, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + END, 431),
        (b"GET /healthz HTTP/1.1\r\nConnection: close" + END, 200),
    ],
)
def test_what_the_server_answers_by_itself_has_a_request_id(
    shop: RunningShop, request_: bytes, status: int
) -> None:
    text = answer(shop, request_)
    head, _, body = text.partition("\r\n\r\n")
    assert int(head.split()[1]) == status
    ids = re.findall(r"^X-Request-ID: (\S+)\r?$", head, re.MULTILINE)
    assert len(ids) == 1
    for name in HEADERS:
        assert len(re.findall(rf"^{name}: \S.*$", head, re.MULTILINE)) == 1, name
    assert body
    if status != 200:
        log: set[str] = set()
        for line in shop.log("logs/application.log"):
            log.add(line["request_id"])
        assert ids[0] in log  # by which support finds it
