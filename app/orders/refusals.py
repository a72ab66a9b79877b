"""Why an order was not placed, and the page that says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.html import format_html_join

if TYPE_CHECKING:
    from django.http import HttpRequest

    from cart.selectors import CartLine
    from orders.forms import CheckoutForm

HIDDEN = '<input type="hidden" name="{}" value="{}">'
# Where they go in the template. No text can pass for it: that is escaped.
FIELDS = "<!-- fields -->"


@dataclass(frozen=True)
class CheckoutRefusal:
    """Why an order was not placed, for the buyer."""

    status: int
    title: str
    message: str
    retry_after: int | None = None  # seconds
    try_again: bool = True  # whether the same form could succeed


def sold_out(lines: list[CartLine], product_id: int | None = None) -> CheckoutRefusal:
    """Return what to tell who came too late for a product of these lines."""
    names = [line.product.name for line in lines if line.product.pk == product_id]
    return CheckoutRefusal(
        409,
        "Somebody was quicker",
        f"{names[0] if names else 'Something in your cart'} is sold out, or fewer are left than "
        "you asked for. Change or remove it in your cart and order again.",
        try_again=False,
    )


def off_sale(lines: list[CartLine]) -> CheckoutRefusal | None:
    """Return what to tell who wants something that has left the shop; None if nothing has."""
    names = [line.product.name for line in lines if not line.product.is_active]
    if not names:
        return None
    return CheckoutRefusal(
        409,
        "Something is no longer on sale",
        f"{names[0]} has left the shop since you chose it. Remove it in your cart and order again.",
    )


@lru_cache(maxsize=64)  # who edits the template restarts the server
def _told(problem: CheckoutRefusal) -> tuple[str, str]:
    """Return the page that says why not, up to the fields of its form and from there on."""
    context = {
        "title": problem.title,
        "message": problem.message,
        "status": problem.status,
        "try_again": problem.try_again,
    }
    before, _, after = render_to_string("orders/refused.html", context).partition(FIELDS)
    return before, after


def refusal_page(
    request: HttpRequest, form: CheckoutForm, problem: CheckoutRefusal
) -> HttpResponse:
    """Say why not, and let the same form be sent again where that may help.

    At a flash sale, and while payments are away, most buyers are answered with this page: it must
    cost little, so it has no menu, asks nothing of the database, and is made but once for all who
    are told the same.
    """
    # Just checked and good for the next time too; to make another costs more than the page.
    token = request.POST.get("csrfmiddlewaretoken") or get_token(request)
    fields = [("csrfmiddlewaretoken", token), *form.cleaned_data.items()]
    before, after = _told(problem)
    page = HttpResponse(
        [before, format_html_join("\n", HIDDEN, fields) if problem.try_again else "", after],
        status=problem.status,
    )
    if problem.retry_after is not None:
        page.headers["Retry-After"] = str(problem.retry_after)
    return page
