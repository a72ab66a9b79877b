"""Periodic jobs for metrics, audits, the outbox and security events."""

from django.conf import settings
from django.utils import timezone

from retail.audit import runner
from retail.history import rollups
from retail.jobs import job
from retail.mail import outbox
from retail.security import trail

ROLL_UP_SECONDS = 30  # per run; catching up after a long outage takes several runs


@job(every_minutes=1, success_within_minutes=10)
def roll_up_metrics() -> int:
    """Bring the rollups up to date, including hours in which no worker ran."""
    return rollups.roll_up(timezone.now(), seconds=ROLL_UP_SECONDS)


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_metrics() -> int:
    """Delete metric rows older than METRIC_KEEP_DAYS."""
    return rollups.prune(settings.METRIC_KEEP_DAYS, timezone.now())


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_emails() -> int:
    """Delete e-mails from the outbox that ended EMAIL_KEEP_DAYS ago."""
    return outbox.prune(timezone.now())


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_security_events() -> int:
    """Delete security events older than SECURITY_KEEP_DAYS."""
    return trail.prune(timezone.now())


@job(every_minutes=1, success_within_minutes=10)
def run_audit() -> int:
    """Audit new rows, and old ones in turn; return the number of open violations."""
    return sum(len(report.subjects) for report in runner.audit())
