"""A reservation that meets its own buyer in another tab: each way to reserve."""

import pytest
from django.contrib.auth.models import User

from cart.services import CartChangedError, cart_add, cart_of_user, cart_set
from orders.models import Sale
from orders.services import sale_checkout
from tests.postgres.meeting import books, meet, reserving, unfinished, without
from tests.support import ScriptedGateway, make_product, order_for, order_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("quantity", "kept"), [(5, {"anna": {"Lamp": 5}}), (0, {})])
def test_the_line_is_changed_or_removed_in_another_tab(
    way: str, anna: User, quantity: int, kept: dict[str, dict[str, int]]
) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = unfinished(lambda: cart_set(cart=cart, product_id=lamp.pk, quantity=quantity))
    met = meet(other_tab, lambda: reserving(order))
    assert met.waited
    assert isinstance(met.second, CartChangedError)
    assert books() == {"stock": {"Lamp": 10}, "orders": {}, "carts": kept}


def test_the_other_tab_changes_nothing_after_all(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = unfinished(
        lambda: cart_set(cart=cart, product_id=lamp.pk, quantity=0), commits=False
    )
    met = meet(other_tab, lambda: reserving(order))
    assert met.waited
    assert books() == {
        "stock": {"Lamp": 8},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_something_else_is_put_into_the_cart_meanwhile_and_stays_there(
    way: str, anna: User
) -> None:
    lamp, mug = make_product("Lamp", "10.00", 10), make_product("Mug", "5.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = unfinished(lambda: cart_add(cart=cart, product_id=mug.pk, quantity=1))
    met = meet(other_tab, lambda: reserving(order))
    assert met.waited
    assert books() == {
        "stock": {"Lamp": 8, "Mug": 10},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {"anna": {"Mug": 1}},
    }


def test_the_cart_is_ordered_in_another_tab_meanwhile(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, again = order_for(anna, lamp, 2), order_of(anna)
    met = meet(unfinished(lambda: reserving(order)), lambda: reserving(again))
    assert met.waited
    assert isinstance(met.second, CartChangedError)
    assert books() == {
        "stock": {"Lamp": 8},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_without_the_carts_lock_one_cart_is_ordered_twice(
    way: str, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(
        monkeypatch,
        "UPDATE cart_cart SET updated_at = %(now)s WHERE user_id = %(user)s RETURNING id",
        "SELECT id FROM cart_cart WHERE user_id = %(user)s",
    )
    without(monkeypatch, "FOR UPDATE OF item")
    monkeypatch.setattr("cart.services._lock", lambda _carts: None)
    lamp = make_product("Lamp", "10.00", 10)
    order, again = order_for(anna, lamp, 2), order_of(anna)
    meet(unfinished(lambda: reserving(order)), lambda: reserving(again))
    assert books() == {
        "stock": {"Lamp": 6},
        "orders": {"anna": [("PENDING", "Lamp", 2)] * 2},
        "carts": {},
    }


@pytest.mark.parametrize("commits", [True, False])
def test_one_form_sent_again_meanwhile(
    way: str, anna: User, scripted_gateway: ScriptedGateway, *, commits: bool
) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    order = order_for(anna, lamp)
    first = unfinished(lambda: reserving(order), commits=commits)
    met = meet(first, lambda: sale_checkout(order=order))
    assert met.waited
    assert (met.second.pk == met.first.pk) is commits
    status = "PENDING" if commits else "CONFIRMED"
    assert books() == {
        "stock": {"Lamp": 0},
        "orders": {"anna": [(status, "Lamp", 1)]},
        "carts": {},
    }
    assert len(scripted_gateway.charged) == int(not commits)


def test_an_order_of_nothing_is_refused(way: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    order = order_for(anna, lamp)
    order.lines.clear()
    with pytest.raises(CartChangedError):
        reserving(order)
    assert books() == {"stock": {"Lamp": 1}, "orders": {}, "carts": {"anna": {"Lamp": 1}}}
    assert Sale.objects.count() == 0
