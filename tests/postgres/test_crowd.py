"""Fifty buyers of ten units, over HTTP: processes and threads as in production, and a worker."""

from __future__ import annotations

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
SOLD_OUT = "is sold out, or fewer are left than you asked for."
# A machine that is busy with something else must not turn a slow answer into none.
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
    with running(tmp_path_factory.mktemp("shop")) as one:
        yield one


@pytest.fixture(scope="module")
def unguarded_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    hook = {"DJANGO_SETTINGS_MODULE": "tests.postgres.unguarded_settings"}
    with running(tmp_path_factory.mktemp("unguarded"), **hook) as one:
        yield one


def ask(shop: RunningShop, call: str) -> Any:
    return shop.query(f"__import__('tests.postgres.crowd', fromlist=['crowd']).{call}")


def charges(shop: RunningShop) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shop.gateway.get("/v1/charges?limit=1000").json()["charges"]
    return rows


def all_order(shop: RunningShop, sessions: list[str]) -> list[Response]:
    """Have everybody see the form while there is enough for each, and send it at the same time."""
    everybody_saw = Barrier(len(sessions))

    def order(session: str) -> Response:
        shopper = Shopper(shop.url)
        shopper.session.cookies.set("sessionid", session)
        page = shopper.get("/checkout/")
        everybody_saw.wait(PATIENCE)
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
    """Gather a crowd and let it order; return all that came of it, and the refusals' pages.

    Waits until `confirmed` orders are, in the web process or (a flash sale's) in the worker.
    """
    crowd = ask(shop, f"gather({BUYERS}, {UNITS}, flash={flash})")
    settling = shop.worker_port if flash else shop.port
    before = {name: shop.metric(name) for name in COUNTED}
    confirmed_before = shop.metric(CONFIRMED, settling)
    charged_before = len(charges(shop))
    pages = all_order(shop, crowd["sessions"])
    wait_until(
        lambda: shop.metric(CONFIRMED, settling) - confirmed_before == confirmed,
        f"{confirmed} confirmed orders",
    )
    came = ask(shop, f"look({crowd['product']})")
    charged = [row for row in charges(shop) if row["reference"] in came["references"]]
    came["charged"] = sorted(row["reference"] for row in charged if row["status"] == "approved")
    came["charges"] = len(charges(shop)) - charged_before
    came["counted"] = {name: shop.metric(name) - before[name] for name in COUNTED}
    assert {page.status_code for page in pages} <= {200, 409}
    return came, [page.text for page in pages if page.status_code == 409]


@pytest.mark.parametrize("flash", [False, True], ids=["cart", "flash sale"])
def test_exactly_ten_get_one_and_forty_are_told_so(shop: RunningShop, *, flash: bool) -> None:
    came, refusals = rush(shop, flash=flash, confirmed=UNITS)
    assert len(refusals) == BUYERS - UNITS
    assert all(f"Lantern {SOLD_OUT}" in page for page in refusals)
    assert came.pop("references") == came.pop("charged")
    assert came == {
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
    shop.manage("audit", "--full")  # ends with status 0 if all promises are kept
    wait_until(lambda: oversold_gauge(shop) == [0.0], "the gauge")


def oversold_gauge(shop: RunningShop) -> list[float]:
    """Return the gauge, or nothing before the first audit."""
    try:
        return [shop.metric("retail_oversold_units")]
    except AssertionError:
        return []


def test_without_the_guard_the_constraint_stops_them_and_each_is_counted_as_a_conflict(
    unguarded_shop: RunningShop,
) -> None:
    came, refusals = rush(unguarded_shop, flash=False, confirmed=UNITS)
    assert len(refusals) == BUYERS - UNITS
    assert all(SOLD_OUT in page for page in refusals)
    assert came["counted"] == {
        "retail_sold_out_total": 0,
        "retail_stock_conflicts_total": BUYERS - UNITS,
    }
    assert (came["stock"], came["orders"]) == (0, {"CONFIRMED": UNITS})
    assert (came["carts_kept"], came["oversold"], came["charges"]) == (40, 0, UNITS)


def test_without_the_constraint_too_the_shop_really_oversells_and_says_so(
    unguarded_shop: RunningShop,
) -> None:
    connection = psycopg2.connect(unguarded_shop.environment["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE products_product DROP CONSTRAINT IF EXISTS product_stock_not_negative"
        )
    connection.close()
    came, refusals = rush(unguarded_shop, flash=False, confirmed=BUYERS)
    assert refusals == []
    assert (came["stock"], came["oversold"]) == (UNITS - BUYERS, BUYERS - UNITS)
    assert (came["orders"], came["charges"]) == ({"CONFIRMED": BUYERS}, BUYERS)
    with pytest.raises(subprocess.CalledProcessError) as audit:
        unguarded_shop.manage("audit", "--full", "--invariant", "sold_within_offered")
    assert audit.value.returncode == 1
    wait_until(lambda: oversold_gauge(unguarded_shop) == [40.0], "the gauge")
