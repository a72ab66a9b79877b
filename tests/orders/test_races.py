"""Concurrent buyers, on the database that the tests run with."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F, Sum
from django.utils import timezone
from pytest_django import Settings

from orders import services
from orders.models import Payment, Sale
from orders.order import CheckoutRequest
from orders.recovery import claim
from orders.reservation import reserve
from payments import breaker
from payments.models import CircuitBreaker
from products.models import Product, StockMovement
from tests.audits import oversold_units
from tests.support import (
    ScriptedGateway,
    make_buyer,
    make_product,
    moved,
    order_for,
    order_of,
    unbalanced_products,
    without_the_guard,
)

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run all calls in threads that start together; return what each returned or raised."""
    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(number: int) -> None:
        try:
            start.wait()
            results[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - what was raised is a result here
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def buyers_of(product: Product, count: int) -> list[Callable[[], Sale]]:
    orders = [order_for(make_buyer(f"buyer{number}"), product) for number in range(count)]
    return [lambda order=order: services.sale_checkout(order=order) for order in orders]  # type: ignore[misc]


def test_fifty_concurrent_buyers_of_ten_units_get_ten(scripted_gateway: ScriptedGateway) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    calls = buyers_of(lamp, 50)
    with moved() as changes:
        results = at_once(calls)
    outcomes = Counter(getattr(result, "status", type(result).__name__) for result in results)
    assert outcomes == {"CONFIRMED": 10, "SoldOutError": 40}
    lamp.refresh_from_db()
    assert lamp.stock == 0
    assert Sale.objects.count() == Payment.objects.filter(status="COMPLETED").count() == 10
    sold = StockMovement.objects.filter(reason="sale").aggregate(units=Sum("quantity"))["units"]
    assert sold == -10
    assert unbalanced_products() == []
    assert oversold_units() == 0
    assert changes['retail_orders_total{outcome="confirmed"}'] == 10
    assert changes["retail_sold_out_total"] == 40
    assert "retail_stock_conflicts_total" not in changes
    assert len({charge.key for charge in scripted_gateway.charged}) == 10


def test_without_the_guard_the_same_race_hits_the_constraint(
    scripted_gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    everybody_has_read = threading.Barrier(50)

    def read_first(order: CheckoutRequest, key: str) -> Any:
        assert Product.objects.get(pk=lamp.pk).stock == 10
        everybody_has_read.wait()
        return reserve(order, key)

    monkeypatch.setattr(services, "reserve", read_first)
    without_the_guard(monkeypatch)
    calls = buyers_of(lamp, 50)
    with moved() as changes:
        results = at_once(calls)
    outcomes = Counter(getattr(result, "status", type(result).__name__) for result in results)
    # Everybody read a stock of ten. Only the constraint keeps it from going below zero.
    assert outcomes == {"CONFIRMED": 10, "StockConflictError": 40}
    assert changes["retail_stock_conflicts_total"] == 40
    assert "retail_sold_out_total" not in changes


def test_one_form_submitted_twenty_times_at_once_places_one_order(
    scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT = 100
    lamp = make_product("Lamp", "10.00", 50)
    order = order_for(make_buyer(), lamp, 2)
    results = at_once([lambda: services.sale_checkout(order=order)] * 20)
    assert {result.pk for result in results} == {Sale.objects.get().pk}
    lamp.refresh_from_db()
    assert lamp.stock == 48
    assert unbalanced_products() == []
    assert len(scripted_gateway.charged) == 1


def test_concurrent_submissions_for_the_last_unit_return_one_order_and_no_refusal(
    scripted_gateway: ScriptedGateway,
) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    order = order_for(make_buyer(), lamp)
    with moved() as changes:
        results = at_once([lambda: services.sale_checkout(order=order)] * 4)
    assert [getattr(result, "pk", result) for result in results] == [Sale.objects.get().pk] * 4
    assert "retail_sold_out_total" not in changes


def test_one_cart_ordered_in_many_tabs_places_one_order(scripted_gateway: ScriptedGateway) -> None:
    lamp = make_product("Lamp", "10.00", 50)
    buyer = make_buyer()
    order_for(buyer, lamp)
    orders = [order_of(buyer) for _ in range(10)]
    results = at_once([lambda o=order: services.sale_checkout(order=o) for order in orders])  # type: ignore[misc]
    outcomes = Counter(getattr(result, "status", type(result).__name__) for result in results)
    assert outcomes == {"CONFIRMED": 1, "CartChangedError": 9}
    lamp.refresh_from_db()
    assert lamp.stock == 49
    assert len(scripted_gateway.charged) == 1


def test_carts_with_lines_in_opposite_order_never_deadlock(
    scripted_gateway: ScriptedGateway,
) -> None:
    one, two = make_product("One", "1.00", 100), make_product("Two", "1.00", 100)
    orders = []
    for number in range(20):
        buyer = make_buyer(f"buyer{number}")
        order_for(buyer, one)
        order = order_for(buyer, two)
        if number % 2:
            order.lines.reverse()
        orders.append(order)
    results = at_once([lambda o=order: services.sale_checkout(order=o) for order in orders])  # type: ignore[misc]
    assert [getattr(result, "status", result) for result in results] == ["CONFIRMED"] * 20
    assert [Product.objects.get(pk=product.pk).stock for product in (one, two)] == [80, 80]


def test_only_one_of_many_callers_gets_the_half_open_probe() -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=F("opened_at") - timedelta(hours=1))
    results = at_once([lambda n=number: breaker.acquire(f"caller{n}") for number in range(20)])  # type: ignore[misc]
    outcomes = Counter(type(result).__name__ for result in results)
    assert outcomes == {"Permit": 1, "BreakerOpenError": 19}


def test_concurrent_failures_are_all_counted(settings: Settings) -> None:
    settings.BREAKER_FAIL_MAX = 1000
    permits = [breaker.acquire(f"caller{number}") for number in range(20)]
    at_once([lambda p=permit: breaker.report(p, succeeded=False) for permit in permits])  # type: ignore[misc]
    assert CircuitBreaker.objects.get().failures == 20


def test_two_workers_never_claim_the_same_payment() -> None:
    lamp = make_product("Lamp", "10.00", 100)
    buyer = make_buyer()
    for _ in range(30):
        order_for(buyer, lamp)
        reserve(order_of(buyer), uuid.uuid4().hex)
    Payment.objects.update(due_at=F("created_at"))
    now = timezone.now()
    batches = at_once([lambda: claim(now)] * 4)
    claimed = [payment.pk for batch in batches for payment in batch]
    # Those that found all rows locked may have come back with none, and left some for the next.
    claimed += [payment.pk for payment in claim(now)]
    assert sorted(claimed) == sorted(Payment.objects.values_list("pk", flat=True))
