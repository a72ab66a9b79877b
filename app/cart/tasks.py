"""Periodic jobs of the cart app."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from cart.models import Cart
from retail.jobs import job

MAX_AGE = timedelta(days=30)


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_carts() -> int:
    """Delete visitors' carts that have not changed for 30 days; return how many.

    A cart is locked before its items, and one that is just being changed stays.
    """
    abandoned = Cart.objects.filter(user=None, updated_at__lt=timezone.now() - MAX_AGE)
    with transaction.atomic():
        locked = abandoned.select_for_update(skip_locked=True).order_by("pk")
        ids = list(locked.values_list("pk", flat=True))
        return Cart.objects.filter(pk__in=ids).delete()[1].get("cart.Cart", 0)
