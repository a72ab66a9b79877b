"""A reservation that races with the same buyer in another tab, with both ways to reserve."""

import pytest
from django.contrib.auth.models import User

from cart.services import CartChangedError, cart_add, cart_of_user, cart_set
from orders.models import Sale
from orders.services import sale_checkout
from tests.postgres.interleaving import before_commit, interleave, reserve_sale, state, without
from tests.support import ScriptedGateway, make_product, order_for, order_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("quantity", "kept"), [(5, {"anna": {"Lamp": 5}}), (0, {})])
def test_a_line_changed_or_removed_in_another_tab_is_not_ordered(
    reserve_path: str, anna: User, quantity: int, kept: dict[str, dict[str, int]]
) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = before_commit(lambda: cart_set(cart=cart, product_id=lamp.pk, quantity=quantity))
    result = interleave(other_tab, lambda: reserve_sale(order))
    assert result.waited
    assert isinstance(result.second, CartChangedError)
    assert state() == {"stock": {"Lamp": 10}, "orders": {}, "carts": kept}


def test_a_rolled_back_change_in_another_tab_does_not_matter(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = before_commit(
        lambda: cart_set(cart=cart, product_id=lamp.pk, quantity=0), commits=False
    )
    result = interleave(other_tab, lambda: reserve_sale(order))
    assert result.waited
    assert state() == {
        "stock": {"Lamp": 8},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_another_product_added_in_another_tab_stays_in_the_cart(
    reserve_path: str, anna: User
) -> None:
    lamp, mug = make_product("Lamp", "10.00", 10), make_product("Mug", "5.00", 10)
    order, cart = order_for(anna, lamp, 2), cart_of_user(user_id=anna.pk)
    other_tab = before_commit(lambda: cart_add(cart=cart, product_id=mug.pk, quantity=1))
    result = interleave(other_tab, lambda: reserve_sale(order))
    assert result.waited
    assert state() == {
        "stock": {"Lamp": 8, "Mug": 10},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {"anna": {"Mug": 1}},
    }


def test_a_cart_ordered_in_another_tab_is_not_ordered_again(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 10)
    order, again = order_for(anna, lamp, 2), order_of(anna)
    result = interleave(before_commit(lambda: reserve_sale(order)), lambda: reserve_sale(again))
    assert result.waited
    assert isinstance(result.second, CartChangedError)
    assert state() == {
        "stock": {"Lamp": 8},
        "orders": {"anna": [("PENDING", "Lamp", 2)]},
        "carts": {},
    }


def test_without_the_carts_lock_a_cart_is_ordered_twice(
    reserve_path: str, anna: User, monkeypatch: pytest.MonkeyPatch
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
    interleave(before_commit(lambda: reserve_sale(order)), lambda: reserve_sale(again))
    assert state() == {
        "stock": {"Lamp": 6},
        "orders": {"anna": [("PENDING", "Lamp", 2)] * 2},
        "carts": {},
    }


@pytest.mark.parametrize("commits", [True, False])
def test_a_form_submitted_again_concurrently_places_one_order(
    reserve_path: str, anna: User, scripted_gateway: ScriptedGateway, *, commits: bool
) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    order = order_for(anna, lamp)
    first = before_commit(lambda: reserve_sale(order), commits=commits)
    result = interleave(first, lambda: sale_checkout(order=order))
    assert result.waited
    assert (result.second.pk == result.first.pk) is commits
    status = "PENDING" if commits else "CONFIRMED"
    assert state() == {
        "stock": {"Lamp": 0},
        "orders": {"anna": [(status, "Lamp", 1)]},
        "carts": {},
    }
    assert len(scripted_gateway.charged) == int(not commits)


def test_an_order_without_lines_is_refused(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", "10.00", 1)
    order = order_for(anna, lamp)
    order.lines.clear()
    with pytest.raises(CartChangedError):
        reserve_sale(order)
    assert state() == {"stock": {"Lamp": 1}, "orders": {}, "carts": {"anna": {"Lamp": 1}}}
    assert Sale.objects.count() == 0
