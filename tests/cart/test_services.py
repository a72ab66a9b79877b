"""Cart contents and quantities, and merging carts at login."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from cart.models import Cart, CartItem
from cart.selectors import CartLine, cart_lines, lines_total, unit_count
from cart.services import (
    CartChangedError,
    cart_add,
    cart_merge,
    cart_of_user,
    cart_of_visitor,
    cart_remove_lines,
    cart_restore,
    cart_set,
)
from cart.tasks import prune_carts
from products.models import Product
from tests.support import make_buyer, make_product

pytestmark = pytest.mark.django_db


def contents(cart: Cart) -> dict[int, int]:
    return dict(cart.items.values_list("product_id", "quantity"))


@pytest.fixture
def cart() -> Cart:
    return cart_of_user(user_id=make_buyer().pk)


def test_a_customer_has_one_cart() -> None:
    buyer = make_buyer()
    assert cart_of_user(user_id=buyer.pk) == cart_of_user(user_id=buyer.pk)
    assert Cart.objects.count() == 1


def test_a_form_adds_once_in_a_double_click_and_again_afterwards(
    cart: Cart, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp, vase, form = make_product().pk, make_product("Vase").pk, uuid.uuid4()
    start = timezone.now()

    def add(quantity: int, seconds: float) -> int:
        monkeypatch.setattr(timezone, "now", lambda: start + timedelta(seconds=seconds))
        return cart_add(cart=cart, product_id=lamp, quantity=quantity, form_key=form)

    assert [add(1, 0), add(1, 1), add(1, 9)] == [1, 1, 1]
    assert add(3, 9) == 4  # another quantity is no double click
    assert add(3, 18) == 4
    cart_add(cart=cart, product_id=vase, quantity=1)
    assert add(3, 19) == 7  # nor is a click ten seconds later, whatever else the cart had


def test_adding_adds_up_to_ten(cart: Cart) -> None:
    product = make_product()
    assert cart_add(cart=cart, product_id=product.pk, quantity=3) == 3
    assert cart_add(cart=cart, product_id=product.pk, quantity=4) == 7
    assert cart_add(cart=cart, product_id=product.pk, quantity=4) == 10
    assert contents(cart) == {product.pk: 10}
    other = make_product()
    assert cart_add(cart=cart, product_id=other.pk, quantity=99) == 10


def test_setting_a_quantity_replaces_it_and_zero_removes(cart: Cart) -> None:
    first, second = make_product(), make_product()
    for product in (first, second):
        cart_add(cart=cart, product_id=product.pk, quantity=3)
    cart_set(cart=cart, product_id=first.pk, quantity=7)
    assert contents(cart) == {first.pk: 7, second.pk: 3}
    cart_set(cart=cart, product_id=first.pk, quantity=99)
    cart_set(cart=cart, product_id=second.pk, quantity=0)
    assert contents(cart) == {first.pk: 10}


def test_setting_the_quantity_of_a_product_not_in_the_cart_adds_nothing(cart: Cart) -> None:
    cart_set(cart=cart, product_id=make_product().pk, quantity=3)
    assert contents(cart) == {}


def test_removing_lines_affects_one_customers_cart_only(cart: Cart) -> None:
    product = make_product()
    other = cart_of_user(user_id=make_buyer("other").pk)
    for each in (cart, other):
        cart_add(cart=each, product_id=product.pk, quantity=1)
    assert cart.user_id is not None
    for wrong in ({}, {product.pk: 2}, {product.pk: 1, product.pk + 1: 1}):
        with pytest.raises(CartChangedError):
            cart_remove_lines(user_id=cart.user_id, quantities=wrong)
    assert contents(cart) == {product.pk: 1}
    cart_remove_lines(user_id=cart.user_id, quantities={product.pk: 1})
    assert (contents(cart), contents(other)) == ({}, {product.pk: 1})
    with pytest.raises(CartChangedError):
        cart_remove_lines(user_id=cart.user_id, quantities={product.pk: 1})


def test_restored_lines_are_added_to_what_the_cart_contains(cart: Cart) -> None:
    first, second = make_product(), make_product()
    cart_add(cart=cart, product_id=first.pk, quantity=8)
    assert cart.user_id is not None
    cart_restore(user_id=cart.user_id, quantities={first.pk: 5, second.pk: 2})
    assert contents(cart) == {first.pk: 10, second.pk: 2}


def test_a_visitors_cart_is_merged_into_the_customers(cart: Cart) -> None:
    first, second, third = (make_product() for _ in range(3))
    cart_add(cart=cart, product_id=first.pk, quantity=8)
    cart_add(cart=cart, product_id=second.pk, quantity=1)
    visitor = Cart.objects.create()
    cart_add(cart=visitor, product_id=first.pk, quantity=5)
    cart_add(cart=visitor, product_id=third.pk, quantity=4)
    assert cart.user_id is not None
    for _ in range(2):  # the second time there is nothing left to merge
        cart_merge(visitor_cart_id=visitor.pk, user_id=cart.user_id)
        assert contents(cart) == {first.pk: 10, second.pk: 1, third.pk: 4}
        assert list(Cart.objects.all()) == [cart]


def test_a_customers_cart_is_not_merged_into_another(cart: Cart) -> None:
    product = make_product()
    cart_add(cart=cart, product_id=product.pk, quantity=2)
    thief = make_buyer("thief")
    cart_merge(visitor_cart_id=cart.pk, user_id=thief.pk)
    assert contents(cart) == {product.pk: 2}
    assert not CartItem.objects.filter(cart__user=thief).exists()


@pytest.mark.parametrize("quantity", [0, 11])
def test_the_database_refuses_a_quantity_out_of_range(cart: Cart, quantity: int) -> None:
    product = make_product()
    with pytest.raises(IntegrityError, match="cart_quantity_in_range"), transaction.atomic():
        CartItem.objects.create(cart=cart, product=product, quantity=quantity)


def test_the_database_refuses_a_duplicate_product(cart: Cart) -> None:
    product = make_product()
    cart_add(cart=cart, product_id=product.pk, quantity=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        CartItem.objects.create(cart=cart, product=product, quantity=1)


@pytest.mark.parametrize(
    ("stock", "active", "quantity", "problem"),
    [
        (5, True, 5, ""),
        (5, True, 6, "only 5 left"),
        (0, True, 1, "sold out"),
        (5, False, 1, "no longer on sale"),
        (0, False, 1, "no longer on sale"),
    ],
)
def test_a_line_has_the_reason_why_it_cannot_be_bought(
    stock: int, active: bool, quantity: int, problem: str
) -> None:
    product = make_product(stock=stock, is_active=active)
    assert CartLine(product, quantity, Decimal(1)).problem == problem


def test_lines_have_current_prices_and_are_sorted_by_product(cart: Cart) -> None:
    now = timezone.now()
    usual = make_product("Usual", price="10.25")
    sale = make_product(
        "Sale",
        price="10.00",
        flash_price=Decimal("7.50"),
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )
    cart_add(cart=cart, product_id=sale.pk, quantity=2)
    cart_add(cart=cart, product_id=usual.pk, quantity=3)
    lines = cart_lines(cart.items.all())
    assert [(line.product, line.quantity, line.unit_price, line.line_total) for line in lines] == [
        (usual, 3, Decimal("10.25"), Decimal("30.75")),
        (sale, 2, Decimal("7.50"), Decimal("15.00")),
    ]
    assert lines_total(lines) == Decimal("45.75")
    assert unit_count(cart.items.all()) == 5
    Product.objects.filter(pk=sale.pk).update(flash_ends_at=now)
    assert lines_total(cart_lines(cart.items.all())) == Decimal("50.75")


def test_an_empty_cart_costs_nothing(cart: Cart) -> None:
    assert lines_total(cart_lines(cart.items.all())) == 0
    assert unit_count(cart.items.all()) == 0


def test_visitors_carts_unchanged_for_a_month_are_deleted(
    monkeypatch: pytest.MonkeyPatch, cart: Cart
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    product = make_product()
    old, touched, changed, recent = (Cart.objects.create() for _ in range(4))
    for each in (touched, changed):
        cart_add(cart=each, product_id=product.pk, quantity=1)
    month = timedelta(days=30)
    Cart.objects.exclude(pk=recent.pk).update(updated_at=now - month - timedelta(seconds=1))
    Cart.objects.filter(pk=recent.pk).update(updated_at=now - month)
    cart_add(cart=touched, product_id=product.pk, quantity=1)
    cart_set(cart=changed, product_id=product.pk, quantity=5)
    assert prune_carts() == 1
    assert list(Cart.objects.order_by("pk")) == [cart, touched, changed, recent]
    assert not Cart.objects.filter(pk=old.pk).exists()


def test_a_customers_cart_is_kept_for_a_year(cart: Cart) -> None:
    for days, deleted in ((364, 0), (366, 1)):
        Cart.objects.update(updated_at=timezone.now() - timedelta(days=days))
        assert prune_carts() == deleted


def test_a_cart_that_cannot_be_deleted_keeps_no_other_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    long_ago = timezone.now() - timedelta(days=40)
    carts = [Cart.objects.create() for _ in range(3)]
    Cart.objects.update(updated_at=long_ago)
    from_db = Cart.from_db.__func__  # type: ignore[attr-defined]

    def read(cls: type[Cart], db: str, names: list[str], values: Sequence[Any]) -> Cart:
        if values[0] == carts[1].pk:
            raise ArithmeticError("no such cart")
        return from_db(cls, db, names, values)  # type: ignore[no-any-return]

    monkeypatch.setattr(Cart, "from_db", classmethod(read))
    with pytest.raises(RuntimeError, match=str(carts[1].pk)):
        prune_carts()
    assert list(Cart.objects.values_list("pk", flat=True)) == [carts[1].pk]


def test_a_visitors_session_has_one_cart() -> None:
    first = cart_of_visitor(session_key="abc")
    assert cart_of_visitor(session_key="abc") == first
    others = [cart_of_visitor(session_key=key) for key in ("abd", None, None)]
    assert len({first, *others}) == 4
    assert "abc" not in str(Cart.objects.values_list("visitor", flat=True)[0])
