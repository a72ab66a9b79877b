"""System check: what is on sale can be paid."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's name
from django.db.models import Q

from products.models import Product
from retail.startup import startup_check


@startup_check
def prices_can_be_charged() -> list[CheckMessage]:
    """Report products on sale whose price the gateway does not take."""
    takes = (settings.GATEWAY_MIN_AMOUNT, settings.GATEWAY_MAX_AMOUNT)
    outside = Product.objects.filter(is_active=True).filter(
        ~Q(price__range=takes) | Q(flash_price__isnull=False) & ~Q(flash_price__range=takes)
    )
    slugs = list(outside.order_by("slug").values_list("slug", flat=True)[:5])
    if not slugs:
        return []
    return [
        Warning(
            f"The gateway takes amounts from {takes[0]} to {takes[1]}, but prices outside are on "
            f"sale: {', '.join(slugs)}.",
            hint="Change these prices, or GATEWAY_MIN_AMOUNT and GATEWAY_MAX_AMOUNT.",
            id="products.W001",
        )
    ]
