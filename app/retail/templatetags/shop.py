"""Template tags and filters for all pages."""

from decimal import Decimal

from django import template
from django.conf import settings

register = template.Library()

_SIGNS = {"EUR": "€", "GBP": "£", "USD": "$"}


@register.filter
def money(amount: Decimal, currency: str) -> str:
    """Format an amount as a price: €1,250.00."""
    sign = _SIGNS.get(currency)
    return f"{sign}{amount:,.2f}" if sign else f"{amount:,.2f} {currency}"


@register.inclusion_tag("_demo.html")
def demo_mark() -> dict[str, bool]:
    """Say that the shop is a demo, if it is; also on pages that have no request's context."""
    return {"demo": settings.DEMO}
