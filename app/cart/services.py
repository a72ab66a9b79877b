"""Change carts. Every change locks the cart's row first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from cart.models import MAX_QUANTITY, Cart, CartItem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from django.db.models import QuerySet


def cart_of_user(*, user_id: int) -> Cart:
    """Return the customer's cart; create it at first use."""
    return Cart.objects.get_or_create(user_id=user_id)[0]


class CartChangedError(Exception):
    """The cart does not contain the order's lines; nothing was removed."""


def _lock(carts: QuerySet[Cart]) -> None:
    """Lock the carts' rows until the transaction ends."""
    carts.update(updated_at=timezone.now())


def carts_lock(user_ids: Collection[int]) -> None:
    """Lock the users' carts until the transaction ends, before the users are deleted."""
    carts = Cart.objects.filter(user__in=user_ids).order_by("pk")
    list(carts.select_for_update().values_list("pk"))


@transaction.atomic
def cart_add(*, cart: Cart, product_id: int, quantity: int) -> int:
    """Add a product, up to MAX_QUANTITY in total, and return its new quantity."""
    _lock(Cart.objects.filter(pk=cart.pk))
    item, created = CartItem.objects.get_or_create(
        cart=cart, product_id=product_id, defaults={"quantity": min(quantity, MAX_QUANTITY)}
    )
    if not created:
        item.quantity = min(item.quantity + quantity, MAX_QUANTITY)
        item.save(update_fields=["quantity"])
    return item.quantity


@transaction.atomic
def cart_set(*, cart: Cart, product_id: int, quantity: int) -> None:
    """Set the quantity of a product already in the cart; 0 removes it."""
    _lock(Cart.objects.filter(pk=cart.pk))
    items = CartItem.objects.filter(cart=cart, product_id=product_id)
    if quantity < 1:
        items.delete()
    else:
        items.update(quantity=min(quantity, MAX_QUANTITY))


@transaction.atomic
def cart_remove_lines(*, user_id: int, quantities: Mapping[int, int]) -> None:
    """Remove an order's lines from the customer's cart: quantities by product id.

    Of two concurrent checkouts of one cart, only one can remove its lines. Raises CartChangedError
    if the cart does not contain exactly these quantities of these products.
    """
    _lock(Cart.objects.filter(user_id=user_id))
    items = CartItem.objects.filter(cart__user_id=user_id, product_id__in=quantities)
    in_cart = dict(items.values_list("product_id", "quantity"))
    if not in_cart or in_cart != dict(quantities):
        raise CartChangedError
    items.delete()


@transaction.atomic
def cart_restore(*, user_id: int, quantities: Mapping[int, int]) -> None:
    """Put a failed order's lines back into the cart: quantities by product id."""
    cart = cart_of_user(user_id=user_id)
    for product_id, quantity in sorted(quantities.items()):
        cart_add(cart=cart, product_id=product_id, quantity=quantity)


@transaction.atomic
def cart_merge(*, visitor_cart_id: int, user_id: int) -> None:
    """Merge a visitor's cart into the user's and delete it. Does nothing if it is already gone."""
    visitor_carts = Cart.objects.filter(pk=visitor_cart_id, user=None)
    _lock(visitor_carts)
    visitor_cart = visitor_carts.first()
    if visitor_cart is None:
        return
    quantities = dict(visitor_cart.items.values_list("product_id", "quantity"))
    cart_restore(user_id=user_id, quantities=quantities)
    visitor_cart.delete()
