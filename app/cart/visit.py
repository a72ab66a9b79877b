"""Find the cart that belongs to a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages

from cart import services
from cart.models import MAX_QUANTITY, Cart, CartItem

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

SESSION_KEY = "cart"
TOGETHER = "The cart you filled before logging in and the one in your account were put together."


def merge_visitor_cart(request: HttpRequest, user_id: int) -> None:
    """Merge the cart filled before logging in into the user's cart, and tell the user."""
    cart_id = request.session.pop(SESSION_KEY, None)
    if cart_id is None:
        return
    merged = services.cart_merge(visitor_cart_id=cart_id, user_id=user_id)
    if merged.together:
        most = f" You can order at most {MAX_QUANTITY} of a product." if merged.reduced else ""
        messages.info(request, f"{TOGETHER}{most}")


def current_items(request: HttpRequest) -> QuerySet[CartItem]:
    """Return the items of the request's cart. An anonymous visitor's cart id is in the session."""
    if not hasattr(request, "user"):
        return CartItem.objects.none()  # an error page rendered before authentication
    if request.user.is_authenticated:
        merge_visitor_cart(request, request.user.pk)
        return CartItem.objects.filter(cart__user_id=request.user.pk)
    cart_id = request.session.get(SESSION_KEY)
    if cart_id is None:
        return CartItem.objects.none()
    return CartItem.objects.filter(cart_id=cart_id, cart__user=None)


def current_cart(request: HttpRequest) -> Cart:
    """Return the request's cart; create it at first use."""
    if request.user.is_authenticated:
        merge_visitor_cart(request, request.user.pk)
        return services.cart_of_user(user_id=request.user.pk)
    cart_id = request.session.get(SESSION_KEY)
    cart = Cart.objects.filter(pk=cart_id, user=None).first() if cart_id is not None else None
    if cart is None:
        cart = services.cart_of_visitor(session_key=request.session.session_key)
        request.session[SESSION_KEY] = cart.pk
    return cart
