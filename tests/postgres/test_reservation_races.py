"""A reservation that races with other buyers and staff, with both ways to reserve."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError
from psycopg2.errors import DeadlockDetected

from orders import reservation
from orders.models import Payment, Sale, SaleItem
from products.models import Product
from products.services import SoldOutError, stock_release
from tests.postgres.interleaving import (
    before_commit,
    interleave,
    pause,
    paused_before,
    reserve_sale,
    staff,
    state,
    without,
)
from tests.support import fill_cart, make_product, order_for, order_of, without_the_guard

pytestmark = pytest.mark.django_db(transaction=True)


# --- The last unit ------------------------------------------------------------------------------


def test_the_last_unit_sold_concurrently_is_sold_once(
    reserve_path: str, anna: User, ben: User
) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    result = interleave(before_commit(lambda: reserve_sale(annas)), lambda: reserve_sale(bens))
    assert result.waited
    assert isinstance(result.second, SoldOutError)
    assert state() == {
        "stock": {"Lamp": 0},
        "orders": {"anna": [("PENDING", "Lamp", 1)]},
        "carts": {"ben": {"Lamp": 1}},
    }


def test_the_last_unit_is_sold_after_a_rollback(reserve_path: str, anna: User, ben: User) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    result = interleave(
        before_commit(lambda: reserve_sale(annas), commits=False), lambda: reserve_sale(bens)
    )
    assert result.waited
    assert state() == {
        "stock": {"Lamp": 0},
        "orders": {"ben": [("PENDING", "Lamp", 1)]},
        "carts": {"anna": {"Lamp": 1}},
    }


def test_without_the_guard_the_last_unit_hits_the_constraint(
    reserve_path: str, anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    first = before_commit(lambda: reserve_sale(annas))
    result = interleave(first, lambda: reserve_sale(bens))
    assert result.waited
    assert isinstance(result.second, IntegrityError)
    assert "product_stock_not_negative" in str(result.second)


def test_without_the_row_lock_the_guard_checks_outdated_stock(
    anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "FOR NO KEY UPDATE OF product")
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    result = interleave(before_commit(lambda: reserve_sale(annas)), lambda: reserve_sale(bens))
    assert isinstance(result.second, IntegrityError)
    assert "product_stock_not_negative" in str(result.second)


def test_stock_removed_by_staff_concurrently_is_not_sold(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp, 3)
    result = interleave(before_commit(lambda: staff(lamp, -3)), lambda: reserve_sale(order))
    assert result.waited
    assert isinstance(result.second, SoldOutError)
    assert state() == {"stock": {"Lamp": 2}, "orders": {}, "carts": {"anna": {"Lamp": 3}}}


def test_stock_releaseed_concurrently_is_sold(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 2)
    order = order_for(anna, lamp, 2)
    returning = before_commit(lambda: stock_release(quantities={lamp.pk: 3}, reference="VT-OTHER"))
    result = interleave(returning, lambda: reserve_sale(order))
    assert result.waited
    assert state() == {
        "stock": {"Lamp": 3},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_a_sold_out_reservation_does_not_wait_for_a_return(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 2)
    order = order_for(anna, lamp, 3)
    returning = before_commit(lambda: stock_release(quantities={lamp.pk: 3}, reference="VT-OTHER"))
    result = interleave(returning, lambda: reserve_sale(order))
    assert not result.waited
    assert isinstance(result.second, SoldOutError)
    assert state() == {"stock": {"Lamp": 5}, "orders": {}, "carts": {"anna": {"Lamp": 3}}}


# --- Hidden products ----------------------------------------------------------------------------


def hide(product: Product) -> int:
    return Product.objects.filter(pk=product.pk).update(is_active=False)


@pytest.mark.parametrize("commits", [True, False])
def test_a_product_hidden_concurrently_is_not_sold(
    reserve_path: str, anna: User, *, commits: bool
) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp)
    result = interleave(
        before_commit(lambda: hide(lamp), commits=commits), lambda: reserve_sale(order)
    )
    assert result.waited
    assert isinstance(result.second, SoldOutError if commits else Sale)
    assert state() == {
        "stock": {"Lamp": 5 if commits else 4},
        "orders": {} if commits else {"anna": [("PENDING", "Lamp", 1)]},
        "carts": {"anna": {"Lamp": 1}} if commits else {},
    }


def test_without_its_condition_a_hidden_product_is_sold(
    reserve_path: str, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "product.is_active AND ")
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 5)
    order = order_for(anna, lamp)
    result = interleave(before_commit(lambda: hide(lamp)), lambda: reserve_sale(order))
    assert isinstance(result.second, Sale)


# --- Several products --------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 1])
def test_of_two_products_the_second_is_reduced_concurrently(
    reserve_path: str, anna: User, left: int
) -> None:
    one, two = make_product("One", "1.00", 5), make_product("Two", "1.00", 5)
    fill_cart(anna, **{f"p{one.pk}": 2, f"p{two.pk}": 1})
    order = order_of(anna)
    order.lines.reverse()
    result = interleave(before_commit(lambda: staff(two, left - 5)), lambda: reserve_sale(order))
    assert result.waited
    lines = [("PENDING", "One", 2), ("PENDING", "Two", 1)]
    assert state() == {
        "stock": {"One": 3 if left else 5, "Two": 0},
        "orders": {"anna": lines} if left else {},
        "carts": {} if left else {"anna": {"One": 2, "Two": 1}},
    }
    if not left:
        assert result.second.product_id == two.pk


def test_locking_products_in_another_order_deadlocks(reserve_path: str, anna: User) -> None:
    one, two = make_product("One", "1.00", 5), make_product("Two", "1.00", 5)
    fill_cart(anna, **{f"p{one.pk}": 1, f"p{two.pk}": 1})
    order = order_of(anna)

    def wrong_order() -> None:
        staff(two, 1)
        pause()
        staff(one, 1)

    result = interleave(before_commit(wrong_order), lambda: reserve_sale(order))
    errors = [each for each in result[:2] if isinstance(each, OperationalError)]
    assert [type(error.__cause__) for error in errors] == [DeadlockDetected]


# --- With the ORM: another buyer comes between any two steps ------------------------------------


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
    first = paused_before(monkeypatch, owner, name, lambda: reserve_sale(annas))
    result = interleave(first, lambda: reserve_sale(bens))
    assert result.waited is (winner == "anna")
    assert isinstance(result.first if winner == "ben" else result.second, SoldOutError)
    loser = {"anna": "ben", "ben": "anna"}[winner]
    assert state() == {
        "stock": {"Lamp": 0},
        "orders": {winner: [("PENDING", "Lamp", 1)]},
        "carts": {loser: {"Lamp": 1}},
    }


def test_reading_and_writing_in_two_steps_needs_the_constraint(
    anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "_reserve_in_one_statement", reservation._reserve_with_orm)
    without_the_guard(monkeypatch)
    lamp = make_product("Lamp", "10.00", 1)
    annas, bens = order_for(anna, lamp), order_for(ben, lamp)
    first = paused_before(monkeypatch, reservation, "stock_reserve", lambda: reserve_sale(annas))
    result = interleave(first, lambda: reserve_sale(bens))
    assert isinstance(result.first, IntegrityError)
    assert "product_stock_not_negative" in str(result.first)
