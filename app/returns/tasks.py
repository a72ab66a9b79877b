"""Periodic jobs of the returns app."""

from django.utils import timezone

from retail.jobs import job
from returns import personal, refunding, services


@job(every_minutes=1, success_within_minutes=10)
def settle_refunds() -> int:
    """Settle due refunds from the job queue too, in case the worker's poller is stuck."""
    return refunding.settle_due()


@job(every_minutes=60, success_within_minutes=6 * 60)
def expire_returns() -> int:
    """End approved returns whose goods were not sent back in time; return how many."""
    return services.returns_expire()


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def forget_words() -> int:
    """Forget the texts of old returns and refunds; return how many."""
    return personal.forget_old(timezone.now())
