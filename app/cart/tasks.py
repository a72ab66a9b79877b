"""The carts' own periodic job."""

from datetime import timedelta

from django.utils import timezone

from cart.models import Cart
from retail.jobs import job

KEEP = timedelta(days=30)


@job(every_minutes=24 * 60)
def prune_carts() -> int:
    """Delete visitors' carts that nobody has touched for a month."""
    forgotten = Cart.objects.filter(user=None, updated_at__lt=timezone.now() - KEEP)
    return forgotten.delete()[1].get("cart.Cart", 0)
