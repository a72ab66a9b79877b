"""Reasons why an order was not placed, and the page that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.html import escape, format_html_join
from django.utils.safestring import mark_safe

from retail.observability import current_request_id
from retail.web.kept_forms import SHOWN_TO

if TYPE_CHECKING:
    from django.http import HttpRequest

    from cart.selectors import CartLine
    from orders.forms import CheckoutForm

HIDDEN_INPUT = '<input type="hidden" name="{}" value="{}">'
# Placeholders in the template. User input cannot contain them: it is escaped.
FIELDS_MARKER = "<!-- fields -->"
REFERENCE_MARKER = "<!-- reference -->"
TAKE_LEFT = "take_left"  # name of the button that reduces the cart to what can be bought


@dataclass(frozen=True)
class CheckoutRefusal:
    """The reason why an order was not placed, as shown to the buyer."""

    status: int
    title: str
    message: str
    retry_after: int | None = None  # seconds
    button: str = "Try again"  # submits the same form again; "": it could not succeed
    button_name: str = ""


def sold_out(lines: list[CartLine], product_id: int | None = None) -> CheckoutRefusal:
    """Return the refusal for a product of these lines of which too few are left.

    If enough were left when the lines were read, somebody else has bought them since.
    """
    line = next((line for line in lines if line.product.pk == product_id), None)
    if line is None or not line.problem:
        name = line.product.name if line else "An item in your cart"
        title, message = "Sold out", f"{name} has just sold out, or fewer are left than you want."
    elif line.left:
        title = "Not enough left"
        message = f"{line.product.name}: {line.problem}, and your cart has {line.quantity}."
    else:
        title, message = "Sold out", f"{line.product.name} is {line.problem}."
    if not any(one.left for one in lines if one is not line or one.problem):
        return CheckoutRefusal(409, title, f"{message} You can change your cart.", button="")
    return CheckoutRefusal(
        409,
        title,
        f"{message} Take what is left, or change your cart.",
        button="Take what is left",
        button_name=TAKE_LEFT,
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


@lru_cache(maxsize=64)  # a changed template needs a restart
def _rendered(refusal: CheckoutRefusal) -> str:
    """Render the refusal, with placeholders for what differs between requests."""
    context = {
        "reference": mark_safe(REFERENCE_MARKER),  # noqa: S308 - our own text
        "title": refusal.title,
        "message": refusal.message,
        "status": refusal.status,
        "button": refusal.button,
        "button_name": refusal.button_name,
    }
    return render_to_string("orders/refused.html", context)


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
    fields += [(SHOWN_TO, request.POST[SHOWN_TO])] if SHOWN_TO in request.POST else []
    html = _rendered(refusal).replace(REFERENCE_MARKER, escape(current_request_id()))
    if refusal.button:
        html = html.replace(FIELDS_MARKER, format_html_join("\n", HIDDEN_INPUT, fields))
    page = HttpResponse(html, status=refusal.status)
    if refusal.retry_after is not None:
        page.headers["Retry-After"] = str(refusal.retry_after)
    return page
