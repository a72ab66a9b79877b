"""Clients that send slowly, or far too much, do not stop a shop, with or without its proxy."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from drills.shoppers import Shopper
from tests.running.proxy import nginx_program, running_proxy
from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\n" + FORM
SLOW = {
    "nothing": b"",
    "half a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "half a request line": b"GET /heal",
    "an empty line": b"\r\n",
    "half a body": POST + b"Content-Length: 100\r\n\r\nusername=",
    "half a large body": POST + b"Content-Length: 900000\r\n\r\nusername=" + b"x" * 70_000,
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n100\r\nusername=",
    "no body": POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"x" * 40_000,
    "half a second request": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path_factory.mktemp("shop"), {"TRUSTED_PROXIES": "1"})
    shop.start("web")
    yield shop
    shop.close()


@pytest.fixture(scope="module", params=["alone", "behind its proxy"])
def port(
    request: pytest.FixtureRequest, shop: RunningShop, left_out: LeaveOut,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:  # fmt: skip
    """Return the port to which the shop's visitors connect."""
    if request.param == "alone":
        yield shop.port
        return
    folder = tmp_path_factory.mktemp("proxy")
    with running_proxy(nginx_program(left_out), folder, f"127.0.0.1:{shop.port}") as proxy:
        yield proxy.port


def connected(port: int, sent: bytes) -> socket.socket:
    address = ("127.0.0.2", 0)  # not the buyer's
    client = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=address)
    client.sendall(sent)
    return client


def answer(client: socket.socket) -> bytes:
    """Return what the shop sends until it closes the connection."""
    received = b""
    try:
        while more := client.recv(65536):
            received += more
    except ConnectionResetError:
        pass
    client.close()
    return received


@pytest.mark.parametrize("kind", SLOW)
def test_a_buyer_buys_while_slow_clients_hold_connections(port: int, kind: str) -> None:
    slow = [connected(port, SLOW[kind]) for _ in range(200)]
    buyer = Shopper(f"http://127.0.0.1:{port}")
    buyer.register()
    buyer.put_in_cart("/products/lumen-desk-lamp/")
    page = buyer.order()
    assert page.status_code == 200
    assert "Thank you" in page.text
    for client in slow:
        client.close()


def test_slow_clients_are_given_up(shop: RunningShop) -> None:
    for kind, client in {kind: connected(shop.port, sent) for kind, sent in SLOW.items()}.items():
        received = answer(client)
        if kind in {"half a header", "half a body"}:
            assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\nX-Request-ID: "), kind


def test_a_client_that_reads_nothing_holds_no_thread(shop: RunningShop) -> None:
    request = b"GET /static/vitrine/uplot.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients = []
    for _ in range(20):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.connect(("127.0.0.1", shop.port))
        client.sendall(request)
        clients.append(client)
    assert shop.shopper().get("/").status_code == 200
    for client in clients:
        client.close()


def test_a_large_body_is_refused_before_it_is_sent(shop: RunningShop) -> None:
    for kind in (FORM, b"Content-Type: multipart/form-data; boundary=b\r\n"):
        head = POST.replace(FORM, kind) + b"Content-Length: 64000000\r\nConnection: close\r\n\r\n"
        received = answer(connected(shop.port, head))
        assert received.startswith(b"HTTP/1.1 413 "), received[:100]


def test_trickling_a_header_gains_no_time(shop: RunningShop) -> None:
    client = connected(shop.port, b"GET / HTTP/1.1\r\nX: ")
    client.settimeout(0.5)
    received = b""
    for _ in range(PATIENCE):
        try:
            client.sendall(b"x")
            received = client.recv(65536)
            break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise AssertionError("still connected")
    assert not received or b" 408 " in received
    client.close()
