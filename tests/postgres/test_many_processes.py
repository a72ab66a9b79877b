"""Hundreds of orders from several processes at once, with everything else that moves stock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models import Sum

from orders.models import Payment, Sale, SaleItem
from products.models import Product, StockMovement
from products.selectors import oversold_units, unbalanced_products
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
PROCESSES, THREADS, ATTEMPTS = 4, 8, 12
DOMAIN = {"CONFIRMED", "FAILED", "SoldOutError", "seen sold out", "CartChangedError"}
DOMAIN |= {"cart changed", "stock changed", "empty"}


def environment(folder: Path, settings: str) -> dict[str, str]:
    facts = connection.get_connection_params()
    return {
        "DJANGO_SETTINGS_MODULE": settings,
        "DATABASE_URL": (
            f"postgresql://{quote(facts['user'])}:{quote(facts['password'])}"
            f"@{facts['host']}:{facts['port']}/{quote(facts['dbname'])}"
        ),
        "PYTHONPATH": f"{ROOT / 'app'}:{ROOT}",
        "VAR_DIR": str(folder),
        "LOG_DIR": str(folder),
        "THROTTLE_CHECKOUT_LIMIT": "100000",
    }


def all_at_once(folder: Path, *, unguarded: bool = False) -> Counter[str]:
    """Let the processes do their deeds; return how often each came out how.

    Without the guard they do fewer, and nobody fills up what is missing.
    """
    settings = "tests.postgres.unguarded_settings" if unguarded else "config.settings"
    stock = 4 if unguarded else 40
    products = [make_product(f"Product{number}", "3.00", stock).pk for number in range(4)]
    customers = [make_buyer(f"buyer{number}").pk for number in range(24)]
    attempts = 5 if unguarded else ATTEMPTS
    facts = json.dumps(
        {
            "products": products,
            "customers": customers,
            "attempts": attempts,
            "staff": not unguarded,
        }
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.postgres.attempts", str(number), facts],
            env=environment(folder, settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return sum((Counter(json.loads(line)) for line in said), Counter[str]())


def sold_and_gone() -> tuple[dict[int, int], dict[int, int]]:
    """Return units by product: of confirmed orders, and what sales took for good in the ledger."""
    items = SaleItem.objects.filter(sale__status=Sale.Status.CONFIRMED)
    sold = dict(items.values_list("product").annotate(Sum("quantity")).order_by())
    moved = StockMovement.objects.filter(reason__in=["sale", "return"])
    gone = dict(moved.values_list("product").annotate(Sum("quantity")).order_by())
    return sold, {product: -units for product, units in gone.items() if units}


def test_no_deadlock_no_unit_lost_or_sold_twice(tmp_path: Path) -> None:
    came = all_at_once(tmp_path)
    assert came.total() == PROCESSES * THREADS * ATTEMPTS
    assert set(came) <= DOMAIN
    # All of it happened, or the test would show nothing.
    assert min(came[what] for what in DOMAIN - {"empty"}) > 0
    statuses = Counter(Sale.objects.values_list("status", flat=True))
    assert statuses == {"CONFIRMED": came["CONFIRMED"], "FAILED": came["FAILED"]}
    completed = Payment.objects.filter(status="COMPLETED", sale__status="CONFIRMED")
    assert completed.count() == came["CONFIRMED"]
    sold, gone = sold_and_gone()
    assert sold == gone
    assert min(Product.objects.values_list("stock", flat=True)) >= 0
    assert (unbalanced_products(), oversold_units()) == ([], 0)


def test_without_the_guard_the_constraint_has_to_stop_some(tmp_path: Path) -> None:
    came = all_at_once(tmp_path, unguarded=True)
    assert came["StockConflictError"] > 0
    assert came["SoldOutError"] == 0
    assert (unbalanced_products(), oversold_units()) == ([], 0)


@pytest.fixture
def without_the_constraint() -> Iterator[None]:
    [constraint] = [
        one for one in Product._meta.constraints if one.name == "product_stock_not_negative"
    ]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Product, constraint)
    yield
    # The constraint cannot come back while a product breaks it.
    StockMovement.objects.all().delete()
    Product.objects.update(stock=0)
    with connection.schema_editor() as editor:
        editor.add_constraint(Product, constraint)


def test_without_guard_and_constraint_the_shop_oversells(
    tmp_path: Path, without_the_constraint: None
) -> None:
    came = all_at_once(tmp_path, unguarded=True)
    assert came["StockConflictError"] == 0
    assert oversold_units() > 0
    assert min(Product.objects.values_list("stock", flat=True)) < 0
