"""The ground floor's own periodic jobs."""

from django.conf import settings
from django.utils import timezone

from retail import audit, store
from retail.jobs import job
from retail.models import MetricRollup


@job(every_minutes=5)
def roll_up_metrics() -> int:
    """Make the rollups of this hour and day, and of those before: rows may come late."""
    now = timezone.now()
    made = 0
    for period in (MetricRollup.Period.HOUR, MetricRollup.Period.DAY):
        for moment in (now - store.SPAN[period], now):
            made += store.roll_up(period, moment)
    return made


@job(every_minutes=24 * 60)
def prune_metrics() -> int:
    """Delete metric rows past their days."""
    return store.prune(settings.METRIC_KEEP_DAYS, timezone.now())


@job(every_minutes=1)
def run_audit() -> int:
    """Audit what is new, and bit by bit everything once a day; return the number of violations."""
    return sum(len(report.subjects) for report in audit.audit_a_while())
