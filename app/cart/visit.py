"""Whose cart a request is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cart import services
from cart.models import Cart, CartItem

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

SESSION_KEY = "cart"


def bring_along(request: HttpRequest, user_id: int) -> None:
    """Move what a visitor chose before logging in into the account's cart."""
    cart_id = request.session.pop(SESSION_KEY, None)
    if cart_id is not None:
        services.cart_take_over(visitor_cart_id=cart_id, user_id=user_id)


def current_items(request: HttpRequest) -> QuerySet[CartItem]:
    """Return the items of the visitor's cart; an anonymous one is known by the session only."""
    if not hasattr(request, "user"):
        return CartItem.objects.none()  # an error page, made before anyone asked who this is
    if request.user.is_authenticated:
        bring_along(request, request.user.pk)
        return CartItem.objects.filter(cart__user_id=request.user.pk)
    cart_id = request.session.get(SESSION_KEY)
    if cart_id is None:
        return CartItem.objects.none()
    return CartItem.objects.filter(cart_id=cart_id, cart__user=None)


def current_cart(request: HttpRequest) -> Cart:
    """Return the visitor's cart, made at first use."""
    if request.user.is_authenticated:
        bring_along(request, request.user.pk)
        return services.cart_of_user(user_id=request.user.pk)
    cart_id = request.session.get(SESSION_KEY)
    cart = Cart.objects.filter(pk=cart_id, user=None).first() if cart_id is not None else None
    if cart is None:
        cart = Cart.objects.create()
        request.session[SESSION_KEY] = cart.pk
    return cart
