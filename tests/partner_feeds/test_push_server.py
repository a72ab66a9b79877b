"""Files sent to a running shop, with and without its proxy: strangers, slow senders, cut bodies."""

from __future__ import annotations

import gzip
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from config.server import SLOW_THREADS
from tests.partner_feeds.taking_in import FILE
from tests.running.proxy import nginx_program, running_proxy
from tests.running.support import PATIENCE, RunningShop, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

PREPARE = """
from hashlib import sha256
from partner_feeds.models import Partner, PushKey
from products.models import Category
category = Category.objects.all()[0]
partner = Partner.objects.create(name="{slug}", slug="{slug}", category=category)
PushKey.objects.create(partner=partner, digest=sha256(b"{key}").hexdigest(), start="vtf_k")
"""
STATUSES = (
    "list(__import__('partner_feeds.models').models.Ingestion.objects.order_by('pk')"
    ".values_list('status', flat=True))"
)
LARGE = 20 * 1024 * 1024


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path_factory.mktemp("shop"), {"TRUSTED_PROXIES": "1"})
    shop.start("web", "worker")
    yield shop
    shop.close()


@pytest.fixture(scope="module", params=["alone", "behind its proxy"])
def port(
    request: pytest.FixtureRequest, shop: RunningShop, left_out: LeaveOut,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:  # fmt: skip
    """Return the port to which partners connect."""
    if request.param == "alone":
        yield shop.port
        return
    folder = tmp_path_factory.mktemp("proxy")
    with running_proxy(nginx_program(left_out), folder, f"127.0.0.1:{shop.port}") as proxy:
        yield proxy.port


@pytest.fixture
def slug(shop: RunningShop, port: int, request: pytest.FixtureRequest) -> str:
    """Return a partner with limits of its own."""
    slug = f"p{sum(request.node.name.encode())}-{port}"
    shop.run(PREPARE.format(slug=slug, key=f"vtf_{slug}"))
    return slug


def head(slug: str, length: int, key: str = "") -> bytes:
    key = key or f"vtf_{slug}"
    lines = (
        *(f"POST /feeds/{slug}/ HTTP/1.1", "Host: localhost", f"Content-Length: {length}"),
        *(f"Authorization: Bearer {key}", "Content-Type: text/csv", "Connection: close"),
    )
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def connected(port: int, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
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


def statuses(shop: RunningShop) -> list[str]:
    """Return what became of all files, once none is being taken in."""

    def ended() -> list[list[str]]:
        found = shop.query(STATUSES)
        return [found] if {"READING", "APPLYING"}.isdisjoint(found) else []

    return list(wait_until(ended, "the end of all files")[0])


def test_a_file_is_taken_in(shop: RunningShop, port: int, slug: str) -> None:
    before = len(statuses(shop))
    body = gzip.compress(FILE + b"N%d,Pan,9.00,1\n" % port)
    received = answer(connected(port, head(slug, len(body)) + body))
    assert received.startswith(b"HTTP/1.1 202 "), received[:300]
    assert statuses(shop)[before:] == ["DONE"]


def test_a_large_file_is_taken(shop: RunningShop, port: int, slug: str) -> None:
    before = len(statuses(shop))
    body = f"sku,name,price\nL1,{port},9.00\n".encode() + b"\n" * LARGE
    received = answer(connected(port, head(slug, len(body)) + body))
    assert received.startswith(b"HTTP/1.1 202 "), received[:300]
    assert len(statuses(shop)) == before + 1


def test_strangers_are_refused_whatever_they_send(shop: RunningShop, port: int, slug: str) -> None:
    before = statuses(shop)
    for sent in (b"", b"x" * 100_000, b"x" * LARGE):
        client = socket.create_connection(("127.0.0.1", port), PATIENCE)
        with suppress(ConnectionError):  # it need not take what it does not read
            client.sendall(head(slug, LARGE, "vtf_wrong") + sent)
        received = answer(client)
        assert received.startswith(b"HTTP/1.1 401 "), received[:300]
    assert statuses(shop) == before


def test_a_body_that_is_cut_changes_nothing(shop: RunningShop, port: int, slug: str) -> None:
    before = statuses(shop)
    client = connected(port, head(slug, 200_000) + b"x" * 100_000)
    client.shutdown(socket.SHUT_WR)
    received = answer(client)
    assert not received or received.startswith(b"HTTP/1.1 400 "), received[:300]
    assert statuses(shop) == before


def test_slow_senders_hold_no_thread_for_ever(shop: RunningShop, port: int, slug: str) -> None:
    before = len(statuses(shop))
    slow = [connected(port, head(slug, LARGE) + b"x" * 100_000) for _ in range(SLOW_THREADS + 1)]
    assert shop.shopper().get("/").status_code == 200
    for client in slow:
        received = answer(client)
        assert not received or received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 5"))
    body = FILE + b"S%d,Pan,9.00,1\n" % port + b"\n" * 100_000  # needs one of their threads
    received = answer(connected(port, head(slug, len(body)) + body))
    assert received.startswith(b"HTTP/1.1 202 "), received[:300]
    assert statuses(shop)[before:] == ["DONE"]
