"""Every file that a killed shop leaves behind, damaged: it starts again, sells and is scraped."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tests.running.support import PATIENCE, RunningShop, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.gateway_simulator.support import Process

# The books themselves. SQLite repairs them from its journal; nothing else may.
BOOKS = {"shop.sqlite3", "filled.sqlite3", "ledger.sqlite3"}
# Written by the tests' own processes, not by the shop.
OURS = {"web.stdout", "worker.stdout", "stdout", "console.stderr"}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "torn": lambda content: content[:-7],
    "rubbish": lambda content: b"\xff\x00{" * max(1, len(content) // 3),
}
WITH_ADDRESS = (
    "from django.contrib.auth.models import User; User.objects.update(email='b@example.com')"
)
EXPECTED = {
    *("application.log", "gateway.log", "counter_slot0.db", "slot0.lock", "ledger.sqlite3-wal"),
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    shop = RunningShop(tmp_path, {"WEB_CONCURRENCY": "2"})
    yield shop
    shop.close()


def buy(shop: RunningShop) -> None:
    """Let a new customer, who has an e-mail address, buy something."""
    shopper = shop.shopper()
    shop.run(WITH_ADDRESS)
    shopper.put_in_cart(shopper.products()[0])
    page = shopper.order()
    assert urlsplit(page.url).path.startswith("/orders/"), page.text


def kill(gateway: Process) -> None:
    """Kill the gateway's processes; the next ones listen on the same port."""
    assert gateway.popen is not None
    os.kill(gateway.worker(), signal.SIGKILL)
    gateway.kill()
    gateway.popen.wait()
    gateway.env["GATEWAY_PORT"] = str(urlsplit(gateway.url).port)
    gateway.url = ""


def left_by(shop: RunningShop) -> list[Path]:
    """Return the files that a shop has written, except for its books."""
    files = sorted(path for path in shop.folder.rglob("*") if path.is_file())
    return [path for path in files if path.name not in BOOKS | OURS]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_shop_starts_with_what_it_left(
    shop: RunningShop, damage: Callable[[bytes], bytes]
) -> None:
    shop.start("web", "worker")
    buy(shop)
    wait_until(lambda: list((shop.folder / "var" / "mail").glob("*")), "an e-mail")
    for name in ("web", "worker"):
        shop.end(name, signal.SIGKILL)
    kill(shop.gateway)
    files = left_by(shop)
    assert {path.name for path in files} >= EXPECTED
    for path in files:
        path.write_bytes(damage(path.read_bytes()))
    shop.gateway.start()
    shop.start("web", "worker")
    for port in (shop.port, shop.worker_port):
        address = f"http://127.0.0.1:{port}/metrics"
        assert requests.get(address, timeout=PATIENCE).status_code == 200
    buy(shop)
    for log in ("application.log", "gateway.log"):
        last = (shop.folder / "logs" / log).read_bytes().splitlines()[-1]
        assert json.loads(last)["level"] == "INFO"
