"""Reasons why an order was not placed, and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.html import format_html_join

if TYPE_CHECKING:
    from decimal import Decimal

    from django.http import HttpRequest

    from cart.selectors import CartLine
    from orders.forms import CheckoutForm

HIDDEN_INPUT = '<input type="hidden" name="{}" value="{}">'
# Placeholder in the template. User input cannot contain it: it is escaped.
FIELDS_MARKER = "<!-- fields -->"


@dataclass(frozen=True)
class CheckoutRefusal:
    """The reason why an order was not placed, as shown to the buyer."""

    status: int
    title: str
    message: str
    retry_after: int | None = None  # seconds
    try_again: bool = True  # whether the same form could succeed


def sold_out(lines: list[CartLine], product_id: int | None = None) -> CheckoutRefusal:
    """Return the refusal for buyers who are too late for a product of these lines."""
    names = [line.product.name for line in lines if line.product.pk == product_id]
    return CheckoutRefusal(
        409,
        "Sold out",
        f"{names[0] if names else 'An item in your cart'} is sold out, or fewer are left than you "
        "ordered. Change or remove it in your cart, then order again.",
        try_again=False,
    )


def no_longer_on_sale(lines: list[CartLine]) -> CheckoutRefusal | None:
    """Return the refusal if a product of these lines is no longer on sale."""
    names = [line.product.name for line in lines if not line.product.is_active]
    if not names:
        return None
    return CheckoutRefusal(
        409,
        "No longer on sale",
        f"{names[0]} is no longer on sale. Remove it from your cart, then order again.",
    )


def total_too_high(most: Decimal, currency: str) -> CheckoutRefusal:
    """Return the refusal of an order whose total is above `most`."""
    return CheckoutRefusal(
        409,
        "The total is too high",
        f"We can't take orders above {most:,} {currency}. Reduce the quantities in your cart, or "
        "place several orders.",
        try_again=False,
    )


@lru_cache(maxsize=64)  # a changed template needs a restart
def _rendered(refusal: CheckoutRefusal) -> tuple[str, str]:
    """Render the refusal; return the HTML before and after the form's hidden fields."""
    context = {
        "title": refusal.title,
        "message": refusal.message,
        "status": refusal.status,
        "try_again": refusal.try_again,
    }
    before, _, after = render_to_string("orders/refused.html", context).partition(FIELDS_MARKER)
    return before, after


def refusal_page(
    request: HttpRequest, form: CheckoutForm, refusal: CheckoutRefusal
) -> HttpResponse:
    """Show why the order was refused, with a button to submit the same form again if it may help.

    In a flash sale, or while payments are unavailable, most buyers get this page. To be cheap, it
    has no navigation, makes no queries and is rendered once for all buyers with the same refusal.
    """
    # The token was just verified and stays valid; masking a new one costs more than the page.
    token = request.POST.get("csrfmiddlewaretoken") or get_token(request)
    fields = [("csrfmiddlewaretoken", token), *form.cleaned_data.items()]
    before, after = _rendered(refusal)
    page = HttpResponse(
        [before, format_html_join("\n", HIDDEN_INPUT, fields) if refusal.try_again else "", after],
        status=refusal.status,
    )
    if refusal.retry_after is not None:
        page.headers["Retry-After"] = str(refusal.retry_after)
    return page
