"""What the shop knows of its backups: age, gaps, gauges, and the dashboard's check."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from retail.backup import health
from retail.backup.records import measured
from retail.models import Backup
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def made(before: timedelta, **fields: object) -> Backup:
    """Add the row of a backup taken so long before NOW."""
    values = {"seconds": 2.5, "size": 1234, "encrypted": True, **fields}
    return Backup.objects.create(name=f"backup-{before}", taken_at=NOW - before, **values)


@pytest.fixture(autouse=True)
def _installed() -> None:
    """Let the database be ten days old."""
    MigrationRecorder(connection).migration_qs.update(applied=NOW - 10 * DAY)


def gauges() -> tuple[float, float]:
    """Return what Prometheus reads: the time up to which all is saved, and whether it must be."""
    read = health.read_backups()
    return read[catalogue.BACKUP_LAST_SUCCESS][()], read[catalogue.BACKUPS_EXPECTED][()]


def test_without_a_backup_the_age_is_that_of_the_database() -> None:
    assert gauges()[0] == (NOW - 10 * DAY).timestamp()
    result = measured(NOW)
    assert (result.rpo, result.largest_gap) == (10 * DAY, 10 * DAY)
    assert result.restore is None


def test_the_snapshots_time_counts_and_the_last_one() -> None:
    for before in (3 * DAY, HOUR, 2 * DAY):
        made(before)
    assert gauges()[0] == (NOW - HOUR).timestamp()
    result = measured(NOW)
    assert [row.taken_at for row in result.backups] == [NOW - HOUR, NOW - 2 * DAY, NOW - 3 * DAY]
    assert result.rpo == HOUR
    assert result.largest_gap == 7 * DAY  # from the database's creation to the first


def test_the_largest_gap_is_of_thirty_days_and_of_the_time_until_now() -> None:
    for days in (50, 33, 28, 2):
        made(days * DAY)
    assert measured(NOW).largest_gap == 26 * DAY
    made(10 * DAY)
    assert measured(NOW).largest_gap == 18 * DAY
    for days in (13, 15, 18, 20, 23, 25, 5, 7):
        made(days * DAY)
    assert measured(NOW).largest_gap == 5 * DAY  # from 33 days ago, which began earlier, to 28
    assert measured(NOW + 6 * DAY).largest_gap == 8 * DAY


def test_only_production_must_make_backups(settings: Settings) -> None:
    settings.STAND_INS = False
    assert gauges()[1] == 1
    settings.STAND_INS = True
    assert gauges()[1] == 0


def test_the_dashboard_says_what_is_wrong(settings: Settings) -> None:
    settings.STAND_INS = False
    assert health.backups(NOW)[:2] == ("bad", "none")
    made(DAY + HOUR)
    finding = health.backups(NOW)
    assert (finding.state, finding.word, finding.runbook) == ("bad", "too old", "RetailBackupOld")
    assert finding.since == NOW - HOUR
    made(DAY)
    assert health.backups(NOW)[:2] == ("good", "recent")
    assert health.backups(NOW).detail == "The last one is 1 d old."


def test_the_dashboard_is_calm_where_nobody_makes_any(settings: Settings) -> None:
    settings.STAND_INS = True
    assert health.backups(NOW)[:2] == ("calm", "not expected")
    settings.STAND_INS = False
    MigrationRecorder(connection).migration_qs.update(applied=NOW - HOUR)
    assert health.backups(NOW)[:2] == ("warn", "none yet")
