"""Rules of carts at their limits: clocks, double clicks, merges, owners and abandoned carts."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from cart import tasks
from cart.models import Cart
from cart.selectors import CartLine, holds, lines_currency
from cart.services import Merged, cart_add, cart_merge, cart_of_user
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from products.models import Product

pytestmark = pytest.mark.django_db


@pytest.fixture
def cart() -> Cart:
    return cart_of_user(user_id=make_buyer().pk)


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp")


def owner(cart: Cart) -> int:
    assert cart.user_id is not None
    return cart.user_id


@pytest.mark.parametrize(
    ("seconds", "quantity"), [(9.999, 1), (10, 2), (-9.999, 1), (-10, 2), (-3600, 2)]
)
def test_a_double_click_is_less_than_ten_seconds_by_any_clock(
    cart: Cart, lamp: Product, monkeypatch: pytest.MonkeyPatch, seconds: float, quantity: int
) -> None:
    form, start = uuid.uuid4(), timezone.now()
    for now in (start, start + timedelta(seconds=seconds)):
        monkeypatch.setattr(timezone, "now", lambda at=now: at)
        units = cart_add(cart=cart, product_id=lamp.pk, quantity=1, form_key=form)
    assert units == quantity


@pytest.mark.parametrize(
    ("own", "visitors", "merged"),
    [
        (0, 10, Merged(together=False, reduced=False)),
        (4, 0, Merged(together=False, reduced=False)),
        (4, 6, Merged(together=True, reduced=False)),
        (5, 6, Merged(together=True, reduced=True)),
    ],
)
def test_a_merge_returns_what_it_did(
    cart: Cart, lamp: Product, own: int, visitors: int, merged: Merged
) -> None:
    visitor = Cart.objects.create()
    for each, quantity in ((cart, own), (visitor, visitors)):
        if quantity:
            cart_add(cart=each, product_id=lamp.pk, quantity=quantity)
    assert cart_merge(visitor_cart_id=visitor.pk, user_id=owner(cart)) == merged


def test_a_visitor_neither_sees_nor_changes_a_customers_cart(cart: Cart, lamp: Product) -> None:
    cart_add(cart=cart, product_id=lamp.pk, quantity=2)
    visitor = Client()
    session = visitor.session
    session["cart"] = cart.pk
    session.save()
    visitor.cookies["sessionid"] = str(session.session_key)
    assert visitor.get("/cart/").context["lines"] == []
    visitor.post("/cart/add/", {"product_id": lamp.pk, "quantity": 3})
    assert [line.quantity for line in visitor.get("/cart/").context["lines"]] == [3]
    assert list(cart.items.values_list("quantity", flat=True)) == [2]


def test_a_cart_changed_since_it_was_found_abandoned_is_kept() -> None:
    old = Cart.objects.create()
    abandoned = Cart.objects.filter(user=None, updated_at__lt=timezone.now() - tasks.MAX_AGE)
    assert tasks._delete(abandoned, [old.pk]) == 0
    Cart.objects.update(updated_at=timezone.now() - 2 * tasks.MAX_AGE)
    assert tasks._delete(abandoned, [old.pk]) == 1


@pytest.mark.parametrize(
    ("stock", "is_active", "left"), [(25, True, 10), (7, True, 7), (0, True, 0), (7, False, 0)]
)
def test_what_is_left_of_a_line(stock: int, left: int, *, is_active: bool) -> None:
    assert CartLine(make_product(stock=stock, is_active=is_active), 3, Decimal(1)).left == left


def test_a_cart_holds_all_some_or_none_of_an_orders_lines(cart: Cart, lamp: Product) -> None:
    vase = make_product("Vase")
    cart_add(cart=cart, product_id=lamp.pk, quantity=2)
    for quantities, held in (
        ({lamp.pk: 2}, "all"),
        ({lamp.pk: 1}, "all"),
        ({lamp.pk: 3}, "some"),
        ({lamp.pk: 2, vase.pk: 1}, "some"),
        ({vase.pk: 1}, "none"),
    ):
        assert holds(user_id=owner(cart), quantities=quantities) == held, quantities
    assert holds(user_id=owner(cart) + 1, quantities={lamp.pk: 1}) == "none"


def test_an_empty_cart_has_the_shops_currency(lamp: Product) -> None:
    assert lines_currency([]) == settings.CURRENCY
    lamp.currency = "CHF"
    assert lines_currency([CartLine(lamp, 1, Decimal(1))]) == "CHF"
