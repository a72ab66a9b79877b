"""An order that is dispatched while it is cancelled, and held stock that two workers put in."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from orders import fulfilment
from orders.fulfilment import NotDispatchableError, sale_cancel, sale_dispatch
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import HeldStock, Product, StockMovement
from products.services import stock_put_back, stock_put_held
from retail.models import Email
from tests.postgres.interleaving import before_commit, interleave
from tests.support import ledger, make_product, order_for, unbalanced_products

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 10)


@pytest.fixture
def sale(anna: User, lamp: Product) -> Sale:
    """Return a paid order of two lamps out of ten."""
    placed, payment = reserve(order_for(anna, lamp, 2), new_payment_key())
    assert payment_settle(payment=payment, answer=Answer.APPROVED)
    return Sale.objects.get(pk=placed.pk)


def dispatch(sale: Sale) -> Callable[[], bool]:
    return lambda: sale_dispatch(reference=sale.reference, user_id=1)


def cancel(sale: Sale) -> Callable[[], bool]:
    """Return a call that cancels the order as its callers do: with payment and order locked."""

    def run() -> bool:
        with transaction.atomic():
            list(Payment.objects.select_for_update().filter(sale=sale))
            return sale_cancel(sale=Sale.objects.select_for_update().get(pk=sale.pk))

    return run


def now_in(sale: Sale, lamp: Product) -> tuple[str, int, int]:
    """Return the order's state, the stock, and the number of e-mails about a dispatch."""
    assert unbalanced_products() == []
    stock = Product.objects.get(pk=lamp.pk).stock
    emails = Email.objects.filter(kind="order_dispatched").count()
    return Sale.objects.get(pk=sale.pk).state, stock, emails


def test_a_dispatch_prevents_a_cancellation(sale: Sale, lamp: Product) -> None:
    assert interleave(before_commit(dispatch(sale)), cancel(sale)) == (True, False, True)
    assert now_in(sale, lamp) == ("dispatched", 8, 1)


def test_a_cancellation_prevents_a_dispatch(sale: Sale, lamp: Product) -> None:
    result = interleave(before_commit(cancel(sale)), dispatch(sale))
    assert (result.first, result.waited) == (True, True)
    assert isinstance(result.second, NotDispatchableError)
    assert now_in(sale, lamp) == ("refunded", 10, 0)


def test_a_dispatch_that_is_rolled_back_prevents_nothing(sale: Sale, lamp: Product) -> None:
    first = before_commit(dispatch(sale), commits=False)
    assert interleave(first, cancel(sale)) == (True, True, True)
    assert now_in(sale, lamp) == ("refunded", 10, 0)


def test_two_dispatches_send_one_email(sale: Sale, lamp: Product) -> None:
    assert interleave(before_commit(dispatch(sale)), dispatch(sale)) == (True, False, True)
    assert now_in(sale, lamp) == ("dispatched", 8, 1)


def test_two_cancellations_put_the_units_back_once(sale: Sale, lamp: Product) -> None:
    assert interleave(before_commit(cancel(sale)), cancel(sale)) == (True, False, True)
    assert now_in(sale, lamp) == ("refunded", 10, 0)


def test_without_the_condition_they_are_put_back_twice(
    sale: Sale, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fulfilment, "to_dispatch", Sale.objects.all)
    assert interleave(before_commit(cancel(sale)), cancel(sale)) == (True, True, True)
    assert now_in(sale, lamp) == ("refunded", 12, 0)


@pytest.fixture
def held(lamp: Product) -> Product:
    """Return the lamp, with three units held during a flash sale that has ended."""
    now = timezone.now()
    times: dict[str, Any] = {"flash_price": 7, "flash_starts_at": now - timedelta(hours=1)}
    Product.objects.update(**times, flash_ends_at=now + timedelta(hours=1))
    for units, reference in ((2, "RT-1"), (1, "RT-2")):
        stock_put_back(
            quantities={lamp.pk: units}, reason=StockMovement.Reason.RETURN, reference=reference
        )
    Product.objects.update(flash_ends_at=now)
    return lamp


def test_two_workers_put_held_units_on_sale_once(held: Product) -> None:
    assert interleave(before_commit(stock_put_held), stock_put_held) == (3, 0, True)
    assert Product.objects.get().stock == 13
    assert ledger(held) == [(2, "return", "RT-1"), (1, "return", "RT-2")]
    assert not HeldStock.objects.exists()


def test_a_worker_that_dies_leaves_them_to_the_next(held: Product) -> None:
    first = before_commit(stock_put_held, commits=False)
    assert interleave(first, stock_put_held) == (3, 3, True)
    assert (Product.objects.get().stock, unbalanced_products()) == (13, [])


def test_without_the_lock_they_are_put_on_sale_twice(
    held: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows: rows)
    assert interleave(before_commit(stock_put_held), stock_put_held) == (3, 3, True)
    assert Product.objects.get().stock == 16


def test_units_that_come_back_meanwhile_are_put_on_sale_too(held: Product) -> None:
    def put_back() -> None:
        stock_put_back(
            quantities={held.pk: 4}, reason=StockMovement.Reason.RETURN, reference="RT-3"
        )

    result = interleave(before_commit(stock_put_held), put_back)
    assert (result.first, result.second, result.waited) == (3, None, True)
    assert (Product.objects.get().stock, unbalanced_products()) == (17, [])
