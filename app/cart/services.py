"""What changes carts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from cart.models import MAX_QUANTITY, Cart, CartItem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet


def cart_of_user(*, user_id: int) -> Cart:
    """Return the customer's cart, made at first use."""
    return Cart.objects.get_or_create(user_id=user_id)[0]


class CartChangedError(Exception):
    """The cart does not hold what the order asks for; nothing was taken out."""


def _lock(carts: QuerySet[Cart]) -> None:
    """Hold the carts' rows; everything that changes a cart does this first."""
    carts.update(updated_at=timezone.now())


@transaction.atomic
def cart_add(*, cart: Cart, product_id: int, quantity: int) -> int:
    """Add so many of a product, up to MAX_QUANTITY, and return how many the cart now has of it."""
    _lock(Cart.objects.filter(pk=cart.pk))
    item, made = CartItem.objects.get_or_create(
        cart=cart, product_id=product_id, defaults={"quantity": min(quantity, MAX_QUANTITY)}
    )
    if not made:
        item.quantity = min(item.quantity + quantity, MAX_QUANTITY)
        item.save(update_fields=["quantity"])
    return item.quantity


@transaction.atomic
def cart_set(*, cart: Cart, product_id: int, quantity: int) -> None:
    """Set how many of a product the cart has; 0 removes it."""
    _lock(Cart.objects.filter(pk=cart.pk))
    items = CartItem.objects.filter(cart=cart, product_id=product_id)
    if quantity < 1:
        items.delete()
    else:
        items.update(quantity=min(quantity, MAX_QUANTITY))


@transaction.atomic
def cart_take_out(*, user_id: int, quantities: Mapping[int, int]) -> None:
    """Take an order's lines out of the customer's cart: quantities by product id.

    What one order has taken out, another cannot: of two checkouts of one cart only one succeeds.
    Raises CartChangedError if the cart does not hold exactly these quantities of these products.
    """
    _lock(Cart.objects.filter(user_id=user_id))
    items = CartItem.objects.filter(cart__user_id=user_id, product_id__in=quantities)
    held = dict(items.values_list("product_id", "quantity"))
    if not held or held != dict(quantities):
        raise CartChangedError
    items.delete()


@transaction.atomic
def cart_put_back(*, user_id: int, quantities: Mapping[int, int]) -> None:
    """Put the lines of an order that failed back into the cart: quantities by product id."""
    cart = cart_of_user(user_id=user_id)
    for product_id, quantity in sorted(quantities.items()):
        cart_add(cart=cart, product_id=product_id, quantity=quantity)


@transaction.atomic
def cart_take_over(*, visitor_cart_id: int, user_id: int) -> None:
    """Move what a visitor had chosen into the cart of the account just logged in to, once."""
    visitors = Cart.objects.filter(pk=visitor_cart_id, user=None)
    _lock(visitors)
    visitor = visitors.first()
    if visitor is None:
        return
    quantities = dict(visitor.items.values_list("product_id", "quantity"))
    cart_put_back(user_id=user_id, quantities=quantities)
    visitor.delete()
