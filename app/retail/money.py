"""The amounts that the payment gateway can charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from retail.templatetags.shop import money

if TYPE_CHECKING:
    from decimal import Decimal


def amount_problem(amount: Decimal, currency: str) -> str:
    """Return the reason why the gateway cannot charge this amount, or "".

    Forms of prices, carts and checkouts ask here. Nothing is free: 0.00 cannot be charged.
    """
    if amount < settings.GATEWAY_MIN_AMOUNT:
        least = money(settings.GATEWAY_MIN_AMOUNT, currency)
        return f"We can't take payments below {least}."
    if amount > settings.GATEWAY_MAX_AMOUNT:
        most = money(settings.GATEWAY_MAX_AMOUNT, currency)
        return f"We can't take payments above {most}."
    return ""
