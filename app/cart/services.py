"""Change carts. Every change locks the cart's row first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid5

from django.db import transaction
from django.utils import timezone

from cart.models import MAX_QUANTITY, Cart, CartItem
from cart.selectors import cart_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from django.db.models import QuerySet


# The same form again within this time is a double click; later, the buyer wants more of it.
DOUBLE_CLICK = timedelta(seconds=10)


def cart_of_user(*, user_id: int) -> Cart:
    """Return the customer's cart; create it at first use."""
    return Cart.objects.get_or_create(user_id=user_id)[0]


def cart_of_visitor(*, session_key: str | None) -> Cart:
    """Return the cart of a visitor's session; create it at first use.

    Without a key the session is new, and no other request can have it.
    """
    if session_key is None:
        return Cart.objects.create()
    visitor = hashlib.sha256(session_key.encode()).hexdigest()
    return Cart.objects.get_or_create(visitor=visitor)[0]


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
def cart_add(*, cart: Cart, product_id: int, quantity: int, form_key: UUID | None = None) -> int:
    """Add a product, up to MAX_QUANTITY in total, and return its new quantity.

    A form that is sent twice by a double click adds once.
    """
    _lock(Cart.objects.filter(pk=cart.pk))
    now = timezone.now()
    # With another quantity, the same form is sent on purpose.
    key = form_key and uuid5(form_key, str(quantity))
    item, created = CartItem.objects.get_or_create(
        cart=cart,
        product_id=product_id,
        defaults={"quantity": min(quantity, MAX_QUANTITY), "form_key": key, "form_sent_at": now},
    )
    recent = item.form_sent_at is not None and abs(now - item.form_sent_at) < DOUBLE_CLICK
    if not created and not (key and recent and item.form_key == key):
        item.quantity = min(item.quantity + quantity, MAX_QUANTITY)
        item.form_key, item.form_sent_at = key, now
        item.save(update_fields=["quantity", "form_key", "form_sent_at"])
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
def cart_take_left(*, user_id: int) -> None:
    """Reduce the customer's cart to what can be bought; remove what is sold out or not on sale."""
    _lock(Cart.objects.filter(user_id=user_id))
    for line in cart_lines(CartItem.objects.filter(cart__user_id=user_id)):
        if line.left < line.quantity:
            items = CartItem.objects.filter(cart__user_id=user_id, product_id=line.product.pk)
            if line.left:
                items.update(quantity=line.left)
            else:
                items.delete()


@dataclass(frozen=True)
class Merged:
    """What a merge did: both carts had items, and some quantities were above MAX_QUANTITY."""

    together: bool = False
    reduced: bool = False


@transaction.atomic
def cart_merge(*, visitor_cart_id: int, user_id: int) -> Merged:
    """Merge a visitor's cart into the user's and delete it. Does nothing if it is already gone."""
    visitor_carts = Cart.objects.filter(pk=visitor_cart_id, user=None)
    _lock(visitor_carts)
    visitor_cart = visitor_carts.first()
    if visitor_cart is None:
        return Merged()
    quantities = dict(visitor_cart.items.values_list("product_id", "quantity"))
    own_items = CartItem.objects.filter(cart__user_id=user_id)
    own = dict(own_items.values_list("product_id", "quantity"))
    cart_restore(user_id=user_id, quantities=quantities)
    visitor_cart.delete()
    return Merged(
        together=bool(own and quantities),
        reduced=any(own.get(key, 0) + more > MAX_QUANTITY for key, more in quantities.items()),
    )
