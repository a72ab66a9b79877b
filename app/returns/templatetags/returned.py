"""Template tags and filters of returns and refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from returns import pages
from returns.models import ENDED, Refund

if TYPE_CHECKING:
    from decimal import Decimal

    from orders.models import Sale
    from returns.models import Return

register = template.Library()


@register.inclusion_tag("returns/_order.html")
def order_returns(sale: Sale) -> dict[str, Any]:
    """Show what a customer can do with an order, and its returns and refunds."""
    return {"order": pages.order_returns(sale)}


@register.filter
def progress(refund: Refund) -> str:
    """Return what a customer learns of a refund: paid, delayed, on_way, or "" if replaced."""
    if refund.status == Refund.Status.SUCCEEDED:
        return "paid"
    if refund.is_owed or refund.status == Refund.Status.NEEDS_HUMAN:
        return "delayed"
    return "" if refund.status in ENDED else "on_way"


@register.filter
def worth(of_return: Return) -> Decimal:
    """Return what was paid for a return's units."""
    return pages.worth(of_return)


@register.filter
def send_back_until(of_return: Return) -> Any:
    """Return until when the goods of an approved return have to be sent back."""
    return pages.send_back_until(of_return)
