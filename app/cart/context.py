"""What every page knows of the cart."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from cart.selectors import pieces
from cart.visit import current_items


def cart(request: HttpRequest) -> dict[str, object]:
    """Return the number of pieces in the cart, counted only where a template asks."""
    return {"cart_count": SimpleLazyObject(lambda: pieces(current_items(request)))}
