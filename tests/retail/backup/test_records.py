"""What the shop knows of its backups: age, gaps, gauges, and the dashboard's check."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from retail.backup import health, records
from retail.backup.archive import Manifest
from retail.backup.records import measured
from retail.health import Finding
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
    made(50 * DAY)
    result = measured(NOW)
    assert (result.safe_until, result.rpo, result.largest_gap) == (NOW - 50 * DAY, *2 * (50 * DAY,))
    assert result.restore is None


def test_a_clock_that_was_ahead_makes_no_negative_age() -> None:
    MigrationRecorder(connection).migration_qs.update(applied=NOW + HOUR)
    assert (measured(NOW).rpo, measured(NOW).largest_gap) == (timedelta(0), timedelta(0))


def test_the_restore_tried_last_counts_and_the_latest_backups_are_listed() -> None:
    for number in range(31):
        made(number * HOUR)
    for number, tried in ((2, DAY), (3, HOUR), (4, 2 * DAY)):
        Backup.objects.filter(taken_at=NOW - number * HOUR).update(restored_at=NOW - tried)
    result = measured(NOW)
    assert result.restore is not None
    assert result.restore.taken_at == NOW - 3 * HOUR
    assert [row.taken_at for row in result.backups] == [NOW - n * HOUR for n in range(30)]


def manifest(before: timedelta) -> Manifest:
    """Return the manifest of a backup taken so long before NOW."""
    at = (NOW - before).isoformat()
    texts = {"finished_at": at, "sha256": "", "engine": "", "server": "", "version": ""}
    return Manifest(
        name="dump",
        taken_at=at,
        seconds=1.5,
        size=7,
        encrypted=False,
        revision="",
        ledgers={"gateway": {"last": 3}},
        contents={},
        **texts,
    )


def test_a_backup_is_stored_and_very_old_ones_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    forgotten, kept = made(401 * DAY), made(399 * DAY)
    records.record(manifest(HOUR))
    assert not Backup.objects.filter(pk=forgotten.pk).exists()
    row = Backup.objects.exclude(pk=kept.pk).get()
    stored = {"name": "dump", "taken_at": NOW - HOUR, "seconds": 1.5, "size": 7}
    stored |= {"encrypted": False, "ledgers": {"gateway": {"last": 3}}, "restored_at": None}
    assert vars(row).items() >= stored.items()
    assert records.last_positions() == {"gateway": {"last": 3}}
    records.record_restore(manifest(HOUR), 2.5, "x" * 201)
    records.record(manifest(HOUR))  # again, such as of a folder that was copied
    row.refresh_from_db()
    stored |= {"restored_at": NOW, "restore_seconds": 2.5, "restore_problem": "x" * 200}
    assert vars(row).items() >= stored.items()
    assert Backup.objects.count() == 2


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
    assert finding == Finding(
        "bad",
        "too old",
        "The last one is 1 d 1 h old.",
        "/metrics/backups/",
        since=NOW - HOUR,
        affected="what was sold since 1 d 1 h ago could be lost",
        step="Run make backup, and read what it says.",
        runbook="RetailBackupOld",
    )
    made(DAY)
    assert health.backups(NOW)[:2] == ("good", "recent")
    assert health.backups(NOW).detail == "The last one is 1 d old."


def test_the_dashboard_is_calm_where_nobody_makes_any(settings: Settings) -> None:
    settings.STAND_INS = True
    assert health.backups(NOW)[:2] == ("calm", "not expected")
    settings.STAND_INS = False
    MigrationRecorder(connection).migration_qs.update(applied=NOW - HOUR)
    link = "/metrics/backups/"
    assert health.backups(NOW) == Finding("warn", "none yet", "Make one within 1 day.", link)
