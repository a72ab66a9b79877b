"""The worker counts what nginx answers by itself, and nothing that web answers."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
import requests

from tests.running.proxy import nginx_program, running_proxy
from tests.running.support import PATIENCE, RunningShop, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.left_out import LeaveOut
    from tests.running.proxy import Proxy

SERIES = re.compile(r'retail_proxy_answers_total\{page="(\w+)",status="(\w+)"\} (\S+)')
NOTHING = {
    ("checkout", "4xx"): 0.0,
    ("checkout", "5xx"): 0.0,
    ("other", "4xx"): 0.0,
    ("other", "5xx"): 0.0,
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[RunningShop]:
    """Return a shop without web, whose worker finds nginx's log among its own."""
    shop = RunningShop(tmp_path)
    try:
        yield shop
    finally:
        shop.close()


@pytest.fixture
def proxy(shop: RunningShop, left_out: LeaveOut) -> Iterator[Proxy]:
    address = f"127.0.0.1:{shop.port}"
    with running_proxy(nginx_program(left_out), shop.folder, address) as proxy:
        yield proxy


def counted(shop: RunningShop) -> dict[tuple[str, str], float]:
    """Return the counts in the worker's /metrics."""
    address = f"http://127.0.0.1:{shop.worker_port}/metrics"
    found = SERIES.findall(requests.get(address, timeout=PATIENCE).text)
    return {(page, status): float(count) for page, status, count in found}


def assert_counted(shop: RunningShop, **changes: int) -> None:
    """Wait until there are exactly these counts, by page and status."""
    expected = NOTHING | {
        (page, status): float(count)
        for name, count in changes.items()
        for page, _, status in [name.partition("_")]
    }
    wait_until(lambda: counted(shop) == expected, f"{expected}, not {counted(shop)}")


def status(proxy: Proxy, method: str, path: str) -> int:
    return requests.request(method, proxy.url + path, timeout=PATIENCE).status_code


def test_the_worker_counts_the_answers_of_the_proxy(shop: RunningShop, proxy: Proxy) -> None:
    assert status(proxy, "POST", "/checkout/") == 502
    proxy.lines(1)
    shop.start("worker")
    assert_counted(shop)  # nothing from before its start
    assert status(proxy, "POST", "/checkout/?next=%2F") == 502
    assert_counted(shop, checkout_5xx=1)
    assert status(proxy, "GET", "/checkout/") == 502
    assert_counted(shop, checkout_5xx=1, other_5xx=1)

    shop.start("web")
    assert status(proxy, "POST", "/checkout/") == 403
    assert status(proxy, "GET", "/nowhere/") == 404
    assert status(proxy, "TRACE", "/") == 405
    assert_counted(shop, checkout_5xx=1, other_5xx=1, other_4xx=1)

    proxy.log.rename(proxy.log.with_name("proxy.log.1"))
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(proxy.log.exists, "a new log")
    assert status(proxy, "TRACE", "/") == 405
    assert_counted(shop, checkout_5xx=1, other_5xx=1, other_4xx=2)
