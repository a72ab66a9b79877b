"""Sales while staff save a product: none is lost, and stock and ledger stay equal."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.http import HttpRequest
from django.test import Client

from products.admin import ProductAdmin
from products.forms import ProductForm
from products.models import Product
from products.services import SoldOutError, stock_reserve
from tests.products.support import change_url, errors, form_data, messages_of
from tests.support import ledger, make_product, unbalanced_products

pytestmark = pytest.mark.django_db


def test_the_difference_applies_to_the_stock_at_the_time_of_saving(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    data = form_data(lamp, stock_difference="5", stock_reason="delivery")
    admin_client.get(change_url(lamp))
    stock_reserve(quantities={lamp.pk: 3}, reference="VT-1")
    assert (
        messages_of(admin_client.post(change_url(lamp), data))[0] == "Stock of Lamp: 7 → 12 (+5)."
    )
    lamp.refresh_from_db()
    assert lamp.stock == 12


def sell_while_it_is_checked(monkeypatch: pytest.MonkeyPatch, product: Product) -> None:
    """Sell 3 units after the admin has read the product and before it locks the row."""
    original = ProductForm._check_prices

    def sell_first(form: ProductForm) -> None:
        stock_reserve(quantities={product.pk: 3}, reference="VT-1")
        original(form)

    monkeypatch.setattr(ProductForm, "_check_prices", sell_first)


@pytest.mark.parametrize(
    ("change", "after", "movements"),
    [
        ({"name": "New"}, 7, []),
        (
            {"stock_difference": "5", "stock_reason": "delivery"},
            12,
            [(5, "admin", "admin:admin: delivery")],
        ),
        (
            {"stock_difference": "-7", "stock_reason": "broken"},
            0,
            [(-7, "admin", "admin:admin: broken")],
        ),
    ],
)
def test_a_sale_while_the_form_is_saved_is_kept(
    admin_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    after: int,
    movements: list[tuple[int, str, str]],
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, **change)))
    lamp.refresh_from_db()
    assert lamp.stock == after
    assert ledger(lamp) == [(-3, "sale", "VT-1"), *movements]


def test_removing_more_than_a_sale_left_is_refused_with_the_reason(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    sell_while_it_is_checked(monkeypatch, lamp)
    data = form_data(lamp, stock_difference="-8", stock_reason="broken")
    response = admin_client.post(change_url(lamp), data)
    assert errors(response) == {"stock_difference": ["Only 7 in stock."]}
    assert ledger(lamp) == [(-3, "sale", "VT-1")]


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what `call` returns or raises; close this thread's connections."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - what was raised is a result here
        return error
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_no_sale_comes_between_the_check_and_the_change(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    checked, sold = threading.Event(), threading.Event()
    original = ProductAdmin.save_model

    def save_late(
        self: ProductAdmin, request: HttpRequest, obj: Product, form: ProductForm, change: bool
    ) -> None:
        checked.set()
        sold.wait(0.5)  # times out: the sale has to wait for the row lock
        original(self, request, obj, form, change)

    def sell() -> None:
        assert checked.wait(30)
        try:
            stock_reserve(quantities={lamp.pk: 1}, reference="VT-1")
        finally:
            sold.set()

    monkeypatch.setattr(ProductAdmin, "save_model", save_late)
    data = form_data(lamp, stock_difference="-10", stock_reason="broken")
    with ThreadPoolExecutor(2) as pool:
        change = pool.submit(in_thread, lambda: admin_client.post(change_url(lamp), data))
        sale = pool.submit(in_thread, sell)
    assert messages_of(change.result())[0] == "Stock of Lamp: 10 → 0 (-10)."
    assert isinstance(sale.result(), SoldOutError)
    assert ledger(lamp) == [(-10, "admin", "admin:admin: broken")]


@pytest.mark.django_db(transaction=True)
def test_concurrent_staff_and_buyers_keep_stock_and_ledger_equal(admin_client: Client) -> None:
    lamp = make_product(stock=25)
    data = form_data(lamp, stock_difference="-2", stock_reason="broken")
    clients = [Client() for _ in range(10)]
    for client in clients:
        client.cookies = admin_client.cookies
    start = threading.Barrier(30)

    def at_once(call: Callable[[], Any]) -> Any:
        start.wait()
        return in_thread(call)

    with ThreadPoolExecutor(30) as pool:
        changes = [
            pool.submit(at_once, lambda c=client: c.post(change_url(lamp), data))  # type: ignore[misc]
            for client in clients
        ]
        sales = [
            pool.submit(
                at_once,
                lambda n=number: stock_reserve(quantities={lamp.pk: 1}, reference=f"VT-{n}"),  # type: ignore[misc]
            )
            for number in range(20)
        ]
    statuses = Counter(
        getattr(change.result(), "status_code", change.result()) for change in changes
    )
    outcomes = Counter(type(sale.result()).__name__ for sale in sales)
    assert set(statuses) <= {302, 200}  # saved, or refused with an error message
    assert set(outcomes) <= {"NoneType", "SoldOutError"}
    lamp.refresh_from_db()
    assert lamp.stock == 25 - 2 * statuses[302] - outcomes["NoneType"]
    assert lamp.stock <= 1
    assert len(ledger(lamp)) == statuses[302] + outcomes["NoneType"]
    assert unbalanced_products() == []
