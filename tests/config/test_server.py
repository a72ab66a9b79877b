"""The server's own worker: which requests are probes, and what gunicorn answers by itself."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from config.server import PROBE_THREADS, probe_of
from retail.web.probes import PROBES
from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator

END = b"\r\nHost: x\r\n\r\n"


def test_every_probe_has_threads() -> None:
    assert {path.decode() for path in PROBE_THREADS} == set(PROBES)


@pytest.mark.parametrize(
    ("sent", "probe"),
    [
        (b"", None),
        (b"GET /healthz HTTP/1.1" + END, b"/healthz"),
        (b"HEAD /readyz?x=1 HTTP/1.1" + END, b"/readyz"),
        (b"GET /metrics HTTP/1.1" + END, b"/metrics"),
        (b"GET /metrics/dashboard/ HTTP/1.1" + END, b""),
        (b"GET / HTTP/1.1\r\nX: GET /healthz HTTP/1.1" + END, b""),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b""),  # the rest may never come
        (b"GET", b""),
        (b"\r\n\r\n", b""),
    ],
)
def test_only_a_complete_request_for_a_probe_is_one(sent: bytes, probe: bytes | None) -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(sent)
        assert probe_of(there) == probe
        if sent:
            assert there.recv(1000) == sent  # it is still unread


def test_a_closed_connection_is_no_probe() -> None:
    here, there = socket.socketpair()
    with there:
        here.close()
        assert probe_of(there) == b""


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
    assert body
    if status != 200:
        log: set[str] = set()
        for line in shop.log("logs/application.log"):
            log.add(line["request_id"])
        assert ids[0] in log  # by which support finds it
