"""Fifty buyers of ten units over HTTP, with processes and threads as in production."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from drills.shoppers import Shopper
from tests.running.support import PATIENCE, RunningShop, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from requests import Response

BUYERS, UNITS = 50, 10
CONFIRMED = 'retail_orders_total{outcome="confirmed"}'
COUNTED = ("retail_sold_out_total", "retail_stock_conflicts_total")
SOLD_OUT = re.compile("(Lantern|An item in your cart) (is|has just) sold out")
# On a busy machine, a slow response must not time out.
SETTINGS = {
    "WEB_CONCURRENCY": "2",
    "WEB_THREADS": "8",
    "GATEWAY_CONNECT_TIMEOUT": "20",
    "GATEWAY_READ_TIMEOUT": "20",
    "PAYMENT_LEASE": "600",
}


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[RunningShop]:
    shop = RunningShop(folder, {**SETTINGS, **settings})
    try:
        shop.start("web", "worker")
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    with running(tmp_path_factory.mktemp("shop")) as running_shop:
        yield running_shop


@pytest.fixture(scope="module")
def unguarded_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.postgres.unguarded_settings"}
    with running(tmp_path_factory.mktemp("unguarded"), **settings) as running_shop:
        yield running_shop


def call_crowd(shop: RunningShop, call: str) -> Any:
    return shop.query(f"__import__('tests.postgres.crowd', fromlist=['crowd']).{call}")


def charges(shop: RunningShop) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shop.gateway.get("/v1/charges?limit=1000").json()["charges"]
    return rows


def all_order(shop: RunningShop, sessions: list[str]) -> list[Response]:
    """Let all buyers open the checkout while stock lasts, then submit it at the same time."""
    everybody_ready = Barrier(len(sessions))

    def order(session: str) -> Response:
        shopper = Shopper(shop.url)
        shopper.session.cookies.set("sessionid", session)
        page = shopper.get("/checkout/")
        everybody_ready.wait(PATIENCE)
        return shopper.submit(
            page,
            "/checkout/",
            delivery_name="Sam Shopper",
            delivery_address="1 Example Street",
            payment_token="tok_good",
        )

    with ThreadPoolExecutor(len(sessions)) as pool:
        return list(pool.map(order, sessions))


def rush(shop: RunningShop, *, flash: bool, confirmed: int) -> tuple[dict[str, Any], list[str]]:
    """Create a crowd and let it order; return the results and the pages of refused orders.

    Waits until `confirmed` orders are counted, by the web process or, in a flash sale, the worker.
    """
    crowd = call_crowd(shop, f"create({BUYERS}, {UNITS}, flash={flash})")
    settling = shop.worker_port if flash else shop.port
    before = {name: shop.metric(name) for name in COUNTED}
    confirmed_before = shop.metric(CONFIRMED, settling)
    charged_before = len(charges(shop))
    pages = all_order(shop, crowd["sessions"])
    wait_until(
        lambda: shop.metric(CONFIRMED, settling) - confirmed_before == confirmed,
        f"{confirmed} confirmed orders",
    )
    results = call_crowd(shop, f"results({crowd['product']})")
    charged = [row for row in charges(shop) if row["reference"] in results["references"]]
    results["charged"] = sorted(row["reference"] for row in charged if row["status"] == "approved")
    results["charges"] = len(charges(shop)) - charged_before
    results["counted"] = {name: shop.metric(name) - before[name] for name in COUNTED}
    assert {page.status_code for page in pages} <= {200, 409}
    return results, [page.text for page in pages if page.status_code == 409]


@pytest.mark.parametrize("flash", [False, True], ids=["cart", "flash sale"])
def test_exactly_ten_buyers_get_a_unit_and_forty_see_sold_out(
    shop: RunningShop, *, flash: bool
) -> None:
    results, refusals = rush(shop, flash=flash, confirmed=UNITS)
    assert len(refusals) == BUYERS - UNITS
    assert {found[1] for page in refusals for found in SOLD_OUT.finditer(page)} == {"Lantern"}
    assert all(SOLD_OUT.search(page) for page in refusals)
    assert results.pop("references") == results.pop("charged")
    assert results == {
        "stock": 0,
        "orders": {"CONFIRMED": UNITS},
        "kinds": ["flash" if flash else "cart"],
        "paid": UNITS,
        "units": UNITS,
        "carts_kept": BUYERS - UNITS,
        "carts_of_buyers": 0,
        "ledger": {"seed": UNITS, "sale": -UNITS},
        "unbalanced": [],
        "oversold": 0,
        "charges": UNITS,
        "counted": {
            "retail_sold_out_total": BUYERS - UNITS,
            "retail_stock_conflicts_total": 0,
        },
    }
    shop.manage("audit", "--full")  # exits with 0 if no invariant is violated
    wait_until(lambda: oversold_gauge(shop) == [0.0], "the gauge")


def oversold_gauge(shop: RunningShop) -> list[float]:
    """Return the gauge's value, or nothing before the first audit."""
    try:
        return [shop.metric("retail_oversold_units")]
    except AssertionError:
        return []


def test_without_the_guard_the_constraint_refuses_them_and_conflicts_are_counted(
    unguarded_shop: RunningShop,
) -> None:
    results, refusals = rush(unguarded_shop, flash=False, confirmed=UNITS)
    assert len(refusals) == BUYERS - UNITS
    assert all(SOLD_OUT.search(page) for page in refusals)
    assert results["counted"] == {
        "retail_sold_out_total": 0,
        "retail_stock_conflicts_total": BUYERS - UNITS,
    }
    assert (results["stock"], results["orders"]) == (0, {"CONFIRMED": UNITS})
    assert (results["carts_kept"], results["oversold"], results["charges"]) == (40, 0, UNITS)


def test_without_guard_and_constraint_the_shop_oversells_and_reports_it(
    unguarded_shop: RunningShop,
) -> None:
    connection = psycopg2.connect(unguarded_shop.environment["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE products_product DROP CONSTRAINT IF EXISTS product_stock_not_negative"
        )
    connection.close()
    results, refusals = rush(unguarded_shop, flash=False, confirmed=BUYERS)
    assert refusals == []
    assert (results["stock"], results["oversold"]) == (UNITS - BUYERS, BUYERS - UNITS)
    assert (results["orders"], results["charges"]) == ({"CONFIRMED": BUYERS}, BUYERS)
    with pytest.raises(subprocess.CalledProcessError) as audit:
        unguarded_shop.manage("audit", "--full", "--invariant", "sold_within_offered")
    assert audit.value.returncode == 1
    wait_until(lambda: oversold_gauge(unguarded_shop) == [40.0], "the gauge")
