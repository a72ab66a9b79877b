"""Background job that deletes old alerts."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from oncall.services import alerts_prune
from retail.jobs import job


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_alerts() -> int:
    """Delete alerts without an update for as long as metric rows are kept."""
    return alerts_prune(before=timezone.now() - timedelta(days=settings.METRIC_KEEP_DAYS))
