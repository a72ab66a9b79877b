"""Periodic jobs of the partner feeds."""

from partner_feeds import applying, services
from partner_feeds.models import Ingestion
from retail.jobs import job

# A job is stopped after 170 s.
SECONDS = 45


@job(every_minutes=1, success_within_minutes=15)
def apply_feeds() -> int:
    """Go on with files that were read and not applied to the end; return how many were."""
    waiting = Ingestion.objects.filter(status=Ingestion.Status.APPLYING).order_by("alive_at")
    return sum(applying.apply_all(ingestion, seconds=SECONDS) for ingestion in waiting[:1])


@job(every_minutes=5, success_within_minutes=60)
def void_dead_feeds() -> int:
    """Let files fail whose reader has died; return how many."""
    return services.void_dead()


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def forget_feed_changes() -> int:
    """Forget what can no longer be taken back; return how many changes."""
    return services.forget_changes()
