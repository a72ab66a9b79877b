"""The ground floor's own periodic jobs."""

from django.conf import settings
from django.utils import timezone

from retail.audit import runner
from retail.history import rollups
from retail.jobs import job

ROLL_UP_SECONDS = 30  # of a minute; a long way to catch up takes several runs


@job(every_minutes=1)
def roll_up_metrics() -> int:
    """Bring the rollups up to now, also of hours in which no worker ran."""
    return rollups.roll_up(timezone.now(), seconds=ROLL_UP_SECONDS)


@job(every_minutes=24 * 60)
def prune_metrics() -> int:
    """Delete metric rows past their days."""
    return rollups.prune(settings.METRIC_KEEP_DAYS, timezone.now())


@job(every_minutes=1)
def run_audit() -> int:
    """Audit what is new, and bit by bit everything once a day; return the number of violations."""
    return sum(len(report.subjects) for report in runner.audit_some())
