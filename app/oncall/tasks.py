"""The periodic job of the alert feed."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from oncall.services import alerts_prune
from retail.jobs import job


@job(every_minutes=24 * 60)
def prune_alerts() -> int:
    """Delete alerts that nothing was heard of for as long as metric rows are kept."""
    return alerts_prune(before=timezone.now() - timedelta(days=settings.METRIC_KEEP_DAYS))
