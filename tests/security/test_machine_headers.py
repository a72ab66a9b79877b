"""What no view answers has the security headers too: the worker's probes, and servers' errors."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = (
    *("Cache-Control: no-store", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY"),
    *("Referrer-Policy: ", "Content-Security-Policy: default-src 'none';"),
)
END = b"\r\nHost: localhost\r\nConnection: close\r\nX-Request-ID: an-order\r\n\r\n"
REQUESTS = {
    b"GET /healthz HTTP/1.1" + END: 200,
    b"GET /nowhere HTTP/1.1" + END: 404,
    b"nonsense\r\n\r\n": 400,
    b"GET / HTTP/9.9" + END: 400,
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path_factory.mktemp("shop"))
    shop.start("worker")
    yield shop
    shop.close()


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("server", ["worker", "gateway"])
def test_every_answer_has_the_headers(shop: RunningShop, server: str, request_: bytes) -> None:
    port = shop.worker_port if server == "worker" else int(shop.gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(request_)
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    head = text.partition("\r\n\r\n")[0]
    status = int(re.findall(r"HTTP/\S+ (\d{3})", head)[0])
    assert status // 100 == REQUESTS[request_] // 100, head
    for header in HEADERS:
        assert f"\r\n{header}" in head, head
    assert "an-order" not in head
