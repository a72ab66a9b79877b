"""Hundreds of orders from several processes at once, along with all other changes of stock."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.models import Sum

from orders.models import Payment, Sale, SaleItem
from products.models import Product, StockMovement
from tests.audits import oversold_units
from tests.postgres.processes import run_together
from tests.support import make_buyer, make_product, unbalanced_products

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES, THREADS, ATTEMPTS = 4, 8, 12
EXPECTED = {"CONFIRMED", "FAILED", "SoldOutError", "read as sold out", "CartChangedError"}
EXPECTED |= {"cart changed", "stock changed", "empty"}


def all_at_once(folder: Path, *, unguarded: bool = False) -> Counter[str]:
    """Run the load processes; return the counts of outcomes.

    Without the guard, they run fewer actions and nobody restocks.
    """
    settings = "tests.postgres.unguarded_settings" if unguarded else "config.settings"
    stock = 4 if unguarded else 40
    products = [make_product(f"Product{number}", "3.00", stock).pk for number in range(4)]
    customers = [make_buyer(f"buyer{number}").pk for number in range(24)]
    attempts = 5 if unguarded else ATTEMPTS
    options = json.dumps(
        {
            "products": products,
            "customers": customers,
            "attempts": attempts,
            "staff": not unguarded,
        }
    )
    commands = [["tests.postgres.attempts", str(seed), options] for seed in range(PROCESSES)]
    return run_together(folder, commands, settings)


def sold_and_taken() -> tuple[dict[int, int], dict[int, int]]:
    """Return units by product: in confirmed orders, and taken by sales according to the ledger."""
    items = SaleItem.objects.filter(sale__status=Sale.Status.CONFIRMED)
    sold = dict(items.values_list("product").annotate(Sum("quantity")).order_by())
    movements = StockMovement.objects.filter(reason__in=["sale", "release"])
    taken = dict(movements.values_list("product").annotate(Sum("quantity")).order_by())
    return sold, {product: -units for product, units in taken.items() if units}


def test_concurrent_load_causes_no_deadlock_and_no_lost_or_oversold_unit(tmp_path: Path) -> None:
    outcomes = all_at_once(tmp_path)
    assert outcomes.total() == PROCESSES * THREADS * ATTEMPTS
    assert set(outcomes) <= EXPECTED
    # Every outcome occurred; otherwise the test would prove nothing.
    assert min(outcomes[name] for name in EXPECTED - {"empty"}) > 0
    statuses = Counter(Sale.objects.values_list("status", flat=True))
    assert statuses == {"CONFIRMED": outcomes["CONFIRMED"], "FAILED": outcomes["FAILED"]}
    completed = Payment.objects.filter(status="COMPLETED", sale__status="CONFIRMED")
    assert completed.count() == outcomes["CONFIRMED"]
    sold, taken = sold_and_taken()
    assert sold == taken
    assert min(Product.objects.values_list("stock", flat=True)) >= 0
    assert (unbalanced_products(), oversold_units()) == ([], 0)


def test_without_the_guard_the_constraint_refuses_some_orders(tmp_path: Path) -> None:
    outcomes = all_at_once(tmp_path, unguarded=True)
    assert outcomes["StockConflictError"] > 0
    assert outcomes["SoldOutError"] == 0
    assert (unbalanced_products(), oversold_units()) == ([], 0)


@pytest.fixture
def without_the_constraint() -> Iterator[None]:
    [constraint] = [
        constraint
        for constraint in Product._meta.constraints
        if constraint.name == "product_stock_not_negative"
    ]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Product, constraint)
    yield
    # The constraint cannot be restored while a product violates it.
    StockMovement.objects.all().delete()
    Product.objects.update(stock=0)
    with connection.schema_editor() as editor:
        editor.add_constraint(Product, constraint)


def test_without_guard_and_constraint_the_shop_oversells(
    tmp_path: Path, without_the_constraint: None
) -> None:
    outcomes = all_at_once(tmp_path, unguarded=True)
    assert outcomes["StockConflictError"] == 0
    assert oversold_units() > 0
    assert min(Product.objects.values_list("stock", flat=True)) < 0
