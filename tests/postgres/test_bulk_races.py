"""What changes many rows at once takes its locks in the order of a checkout."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from cart.models import Cart, CartItem
from cart.services import CartChangedError, cart_add
from cart.tasks import prune_carts
from orders.models import Sale
from products.models import Product
from products.services import SoldOutError
from tests.postgres.interleaving import before_commit, interleave, reserve_sale, state
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)


def clear() -> None:
    call_command("populate_products", "--clear", stdout=StringIO())


def test_clear_waits_for_a_reservation_and_keeps_its_product(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", stock=3)
    order = order_for(anna, lamp)
    result = interleave(before_commit(lambda: reserve_sale(order)), clear)
    assert (result.waited, result.second) == (True, None)
    lamp.refresh_from_db()
    assert (lamp.is_active, lamp.stock) == (False, 2)
    assert state()["orders"] == {"anna": [("PENDING", "Lamp", 1)]}


def test_a_reservation_waits_for_clear_and_is_refused(reserve_path: str, anna: User) -> None:
    lamp = make_product("Lamp", stock=3)
    order = order_for(anna, lamp)
    result = interleave(before_commit(clear), lambda: reserve_sale(order))
    assert result.waited
    assert isinstance(result.second, SoldOutError | CartChangedError)
    assert CartItem.objects.get().product == lamp  # the buyer sees what is no longer on sale
    assert not Sale.objects.exists()


def test_a_product_deleted_while_it_is_added_to_a_cart_is_not_found() -> None:
    lamp = make_product("Lamp")
    client = Client()

    def add() -> int:
        return client.post("/cart/add/", {"product_id": lamp.pk, "quantity": 1}).status_code

    result = interleave(before_commit(clear), add)
    assert (result.waited, result.second) == (True, 404)
    assert not Product.objects.filter(pk=lamp.pk).exists()
    assert not CartItem.objects.exists()


def _one(client: Client, user: User) -> Any:
    return client.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"})


def _selected(client: Client, user: User) -> Any:
    data = {"action": "delete_selected", "_selected_action": user.pk, "post": "yes"}
    return client.post("/admin/auth/user/", data)


@pytest.mark.parametrize("delete", [_one, _selected])
def test_a_customer_who_orders_while_being_deleted_stays(
    reserve_path: str, anna: User, delete: Callable[[Client, User], Any]
) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"), "accounts.backends.AccountBackend")
    order = order_for(anna, make_product("Lamp", stock=3))
    result = interleave(before_commit(lambda: reserve_sale(order)), lambda: delete(client, anna))
    assert result.waited
    assert result.second.status_code == 200
    assert "Cannot delete user" in result.second.content.decode()
    assert state()["orders"] == {"anna": [("PENDING", "Lamp", 1)]}


@pytest.mark.parametrize("delete", [_one, _selected])
def test_a_customer_who_is_deleted_while_ordering_orders_nothing(
    reserve_path: str, anna: User, delete: Callable[[Client, User], Any]
) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"), "accounts.backends.AccountBackend")
    order = order_for(anna, make_product("Lamp", stock=3))
    result = interleave(before_commit(lambda: delete(client, anna)), lambda: reserve_sale(order))
    assert result.waited
    assert isinstance(result.second, CartChangedError)
    assert not User.objects.filter(pk=anna.pk).exists()
    assert state() == {"stock": {"Lamp": 3}, "orders": {}, "carts": {}}


def test_a_forgotten_cart_that_is_just_being_filled_again_is_not_pruned() -> None:
    lamp, cart = make_product("Lamp"), Cart.objects.create()
    cart_add(cart=cart, product_id=lamp.pk, quantity=1)
    other = Cart.objects.create()
    Cart.objects.update(updated_at=timezone.now() - timedelta(days=31))
    adding = before_commit(lambda: cart_add(cart=cart, product_id=lamp.pk, quantity=1))
    result = interleave(adding, prune_carts)
    assert (result.first, result.second) == (2, 1)
    assert CartItem.objects.get(cart=cart).quantity == 2
    assert not Cart.objects.filter(pk=other.pk).exists()


def test_two_customers_are_deleted_together_with_their_carts() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"), "accounts.backends.AccountBackend")
    users = [make_buyer(name) for name in ("one", "two")]
    for user in users:
        order_for(user, make_product())
    data = {"action": "delete_selected", "post": "yes"}
    selected = {"_selected_action": [user.pk for user in users]}
    assert client.post("/admin/auth/user/", {**data, **selected}).status_code == 302
    assert list(User.objects.values_list("username", flat=True)) == ["boss"]
    assert not Cart.objects.exists()
