"""A reservation that meets others who want, bring or hide the same product: each way to reserve."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError
from psycopg2.errors import DeadlockDetected

from orders import reservation
from orders.models import Payment, Sale, SaleItem
from products.models import Product
from products.services import SoldOutError, stock_return
from tests.postgres.meeting import (
    books,
    meet,
    reserving,
    staff,
    stop,
    stopping_before,
    unfinished,
    without,
)
from tests.support import fill_cart, make_product, order_for, order_of, without_the_guard

pytestmark = pytest.mark.django_db(transaction=True)


# --- The last unit ------------------------------------------------------------------------------


def test_the_last_unit_taken_meanwhile(way: str, anna: User, ben: User) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    met = meet(unfinished(lambda: reserving(annas)), lambda: reserving(bens))
    assert met.waited
    assert isinstance(met.second, SoldOutError)
    assert books() == {
        "stock": {"Lamp": 0},
        "orders": {"anna": [("PENDING", "Lamp", 1)]},
        "carts": {"ben": {"Lamp": 1}},
    }


def test_the_last_unit_not_taken_after_all(way: str, anna: User, ben: User) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    met = meet(unfinished(lambda: reserving(annas), commits=False), lambda: reserving(bens))
    assert met.waited
    assert books() == {
        "stock": {"Lamp": 0},
        "orders": {"ben": [("PENDING", "Lamp", 1)]},
        "carts": {"anna": {"Lamp": 1}},
    }


def test_without_the_guard_the_last_unit_is_lost_but_for_the_constraint(
    way: str, anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    first = unfinished(lambda: reserving(annas))
    met = meet(first, lambda: reserving(bens))
    assert met.waited
    assert isinstance(met.second, IntegrityError)
    assert "product_stock_not_negative" in str(met.second)


def test_without_the_rows_lock_a_condition_that_was_true_is_not_enough(
    anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "FOR NO KEY UPDATE OF product")
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    met = meet(unfinished(lambda: reserving(annas)), lambda: reserving(bens))
    assert isinstance(met.second, IntegrityError)
    assert "product_stock_not_negative" in str(met.second)


def test_staff_take_stock_away_meanwhile(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp, 3)
    met = meet(unfinished(lambda: staff(lamp, -3)), lambda: reserving(order))
    assert met.waited
    assert isinstance(met.second, SoldOutError)
    assert books() == {"stock": {"Lamp": 2}, "orders": {}, "carts": {"anna": {"Lamp": 3}}}


def test_stock_comes_back_meanwhile(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 2)
    order = order_for(anna, lamp, 2)
    coming_back = unfinished(lambda: stock_return(quantities={lamp.pk: 3}, reference="VT-OTHER"))
    met = meet(coming_back, lambda: reserving(order))
    assert met.waited
    assert books() == {
        "stock": {"Lamp": 3},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_what_may_come_back_is_not_waited_for(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 2)
    order = order_for(anna, lamp, 3)
    coming_back = unfinished(lambda: stock_return(quantities={lamp.pk: 3}, reference="VT-OTHER"))
    met = meet(coming_back, lambda: reserving(order))
    assert not met.waited
    assert isinstance(met.second, SoldOutError)
    assert books() == {"stock": {"Lamp": 5}, "orders": {}, "carts": {"anna": {"Lamp": 3}}}


# --- Off sale -----------------------------------------------------------------------------------


def hide(product: Product) -> int:
    return Product.objects.filter(pk=product.pk).update(is_active=False)


@pytest.mark.parametrize("commits", [True, False])
def test_the_product_is_hidden_meanwhile(way: str, anna: User, *, commits: bool) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp)
    met = meet(unfinished(lambda: hide(lamp), commits=commits), lambda: reserving(order))
    assert met.waited
    assert isinstance(met.second, SoldOutError if commits else Sale)
    assert books() == {
        "stock": {"Lamp": 5 if commits else 4},
        "orders": {} if commits else {"anna": [("PENDING", "Lamp", 1)]},
        "carts": {"anna": {"Lamp": 1}} if commits else {},
    }


def test_without_its_condition_a_hidden_product_is_sold(
    way: str, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "product.is_active AND ")
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp)
    met = meet(unfinished(lambda: hide(lamp)), lambda: reserving(order))
    assert isinstance(met.second, Sale)


# --- Several products --------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1])
def test_of_two_products_the_second_is_taken_meanwhile(way: str, anna: User, left: int) -> None:
    one, two = make_product("One", "1.00", 5), make_product("Two", "1.00", 5)
    fill_cart(anna, **{f"p{one.pk}": 2, f"p{two.pk}": 1})
    order = order_of(anna)
    order.lines.reverse()
    met = meet(unfinished(lambda: staff(two, left - 5)), lambda: reserving(order))
    assert met.waited
    lines = [("PENDING", "One", 2), ("PENDING", "Two", 1)]
    assert books() == {
        "stock": {"One": 3 if left else 5, "Two": 0},
        "orders": {"anna": lines} if left else {},
        "carts": {} if left else {"anna": {"One": 2, "Two": 1}},
    }
    if not left:
        assert met.second.product_id == two.pk


def test_who_locks_products_in_another_order_would_be_seen_as_a_deadlock(
    way: str, anna: User
) -> None:
    one, two = make_product("One", "1.00", 5), make_product("Two", "1.00", 5)
    fill_cart(anna, **{f"p{one.pk}": 1, f"p{two.pk}": 1})
    order = order_of(anna)

    def the_wrong_way_round() -> None:
        staff(two, 1)
        stop()
        staff(one, 1)

    met = meet(unfinished(the_wrong_way_round), lambda: reserving(order))
    failed = [result for result in met[:2] if isinstance(result, OperationalError)]
    assert [type(error.__cause__) for error in failed] == [DeadlockDetected]


# --- In steps: another buyer comes between any two of them --------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "winner"),
    [
        (reservation, "cart_remove_lines", "ben"),
        (reservation, "stock_reserve", "ben"),
        (Sale, "save", "anna"),
        (SaleItem.objects, "bulk_create", "anna"),
        (Payment, "save", "anna"),
    ],
    ids=["cart", "stock", "sale", "items", "payment"],
)
def test_another_buyer_comes_before_a_step(
    anna: User, ben: User, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, winner: str
) -> None:
    monkeypatch.setattr(reservation, "_reserve_in_one_statement", reservation._reserve_with_orm)
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    first = stopping_before(monkeypatch, owner, name, lambda: reserving(annas))
    met = meet(first, lambda: reserving(bens))
    assert met.waited is (winner == "anna")
    assert isinstance(met.first if winner == "ben" else met.second, SoldOutError)
    loser = {"anna": "ben", "ben": "anna"}[winner]
    assert books() == {
        "stock": {"Lamp": 0},
        "orders": {winner: [("PENDING", "Lamp", 1)]},
        "carts": {loser: {"Lamp": 1}},
    }


def test_who_looks_and_writes_later_needs_the_constraint(
    anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "_reserve_in_one_statement", reservation._reserve_with_orm)
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    first = stopping_before(monkeypatch, reservation, "stock_reserve", lambda: reserving(annas))
    met = meet(first, lambda: reserving(bens))
    assert isinstance(met.first, IntegrityError)
    assert "product_stock_not_negative" in str(met.first)
