"""Template context processor for the cart."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from cart.selectors import unit_count
from cart.visit import current_items


def cart(request: HttpRequest) -> dict[str, object]:
    """Return the number of units in the cart, counted only if a template uses it."""
    return {"cart_count": SimpleLazyObject(lambda: unit_count(current_items(request)))}
