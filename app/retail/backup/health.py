"""What the dashboard and Prometheus say about backups."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.urls import reverse

from retail.backup.records import last_good, safe_until
from retail.db.reads import bounded_read
from retail.health import Finding, Harm, health_check
from retail.observability.prometheus import catalogue
from retail.templatetags.durations import ago, duration
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from datetime import datetime

    from retail.observability.prometheus.instruments import DatabaseGauge

MOST_AGE = timedelta(seconds=THRESHOLDS.backups.most_age_seconds)


def read_backups() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return up to when all is in a backup, and whether anybody must make backups."""
    with bounded_read():
        safe = safe_until()
    return {
        catalogue.BACKUP_LAST_SUCCESS: {(): safe.timestamp()},
        catalogue.BACKUPS_EXPECTED: {(): float(not settings.STAND_INS)},
    }


@health_check("Backups", Harm.MONITORING)
def backups(now: datetime) -> Finding:
    """Check the age of the last good backup."""
    row, link = last_good(), reverse("oncall:backups")
    detail = f"The last one is {duration(now - row.taken_at)} old." if row else "There is none yet."
    if settings.STAND_INS:
        return Finding("calm", "not expected", f"{detail} Production needs them.", link)
    safe = safe_until()
    if now - safe > MOST_AGE:
        return Finding(
            "bad",
            "too old" if row else "none",
            detail,
            link,
            since=safe + MOST_AGE,
            affected=f"what was sold since {ago(safe, now)} could be lost",
            step="Run make backup, and read what it says.",
            runbook="RetailBackupOld",
        )
    if row is None:
        return Finding(
            "warn", "none yet", f"Make one within {in_words(MOST_AGE.total_seconds())}.", link
        )
    return Finding("good", "recent", detail, link)
