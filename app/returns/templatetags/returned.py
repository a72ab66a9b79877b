"""Template tags and filters of returns and refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from returns import pages
from returns.models import Refund

if TYPE_CHECKING:
    from decimal import Decimal

    from orders.models import Sale
    from returns.models import Return

register = template.Library()

_DELAYED = (Refund.Status.NEEDS_HUMAN, Refund.Status.FAILED, Refund.Status.CANCELLED)


@register.inclusion_tag("returns/_order.html")
def order_returns(sale: Sale) -> dict[str, Any]:
    """Show what a customer can do with an order, and its returns and refunds."""
    return {"order": pages.order_returns(sale)}


@register.filter
def progress(refund: Refund) -> str:
    """Return what a customer learns of a refund: paid, delayed, on_way, or "" if replaced."""
    if refund.status == Refund.Status.SUCCEEDED:
        return "paid"
    if refund.status not in _DELAYED:
        return "on_way"
    return "delayed" if refund.settled_at is None else ""


@register.filter
def is_owed(refund: Refund) -> bool:
    """Return whether a refund failed and its money is still owed."""
    ended = refund.status in (Refund.Status.FAILED, Refund.Status.CANCELLED)
    return ended and refund.settled_at is None


@register.filter
def worth(of_return: Return) -> Decimal:
    """Return what was paid for a return's units."""
    return pages.worth(of_return)


@register.filter
def send_back_until(of_return: Return) -> Any:
    """Return until when the goods of an approved return have to be sent back."""
    return pages.send_back_until(of_return)
