"""Periodic jobs of the orders app."""

from django.utils import timezone

from orders import personal
from retail.jobs import job


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def forget_buyers() -> int:
    """Make orders anonymous that ended ORDER_DETAILS_KEEP_DAYS ago; return how many."""
    return personal.forget_old(timezone.now())
