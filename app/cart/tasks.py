"""Periodic jobs of the cart app."""

from datetime import timedelta

from django.utils import timezone

from cart.models import Cart
from retail.jobs import job

MAX_AGE = timedelta(days=30)


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_carts() -> int:
    """Delete visitors' carts that have not changed for 30 days; return how many."""
    abandoned = Cart.objects.filter(user=None, updated_at__lt=timezone.now() - MAX_AGE)
    return abandoned.delete()[1].get("cart.Cart", 0)
