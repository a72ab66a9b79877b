"""The page about backups: RPO and RTO as measured, for staff."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from retail.models import Backup

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PAGE = "/metrics/backups/"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _production(settings: Settings) -> None:
    """Let somebody have to make backups, of a database that is two days old."""
    settings.STAND_INS = False
    MigrationRecorder(connection).migration_qs.update(applied=timezone.now() - 48 * HOUR)


def made(before: timedelta, **fields: object) -> None:
    """Add the row of a backup taken so long ago."""
    values = {"seconds": 2.5, "size": 3 * 1024 * 1024, "encrypted": True, **fields}
    Backup.objects.create(name=f"vitrine-{before}", taken_at=timezone.now() - before, **values)


def page(staff: Client) -> str:
    """Return the page's text, with single spaces."""
    return " ".join(staff.get(PAGE).content.decode().split())


def test_only_staff_see_it(client: Client, staff: Client) -> None:
    assert staff.get(PAGE).status_code == 200
    client.logout()
    assert client.get(PAGE).status_code == 302


def test_without_backups_it_says_how_to_make_one(staff: Client) -> None:
    text = page(staff)
    assert "No backups yet" in text
    assert "2 d</dd>" in text
    assert "There is no backup: time since the database was created." in text
    assert "too much" in text
    assert "No restore has been measured." in text


def test_it_shows_what_was_measured(staff: Client) -> None:
    restored = {"restored_at": timezone.now() - 3 * HOUR, "restore_seconds": 12.34}
    made(10 * HOUR, **restored)
    made(2 * HOUR)
    text = page(staff)
    assert "2 h</dd>" in text  # RPO now
    assert "1 d 14 h</dd>" in text  # the largest: from the start to the first backup
    assert '12.3<span class="unit"> s</span>' in text
    assert "RTO as measured 3 h ago" in text
    assert "3 h ago, in 12.3 s" in text
    assert "3.0 MB" in text
    assert ">normal<" in text


def test_a_restore_that_failed_has_no_rto(staff: Client) -> None:
    made(2 * HOUR, restored_at=timezone.now(), restore_seconds=1, restore_problem="orders.sale: 2")
    text = page(staff)
    assert ">failed<" in text
    assert "orders.sale: 2" in text
    assert "RTO as measured" not in text


def test_in_development_nothing_is_alarming(staff: Client, settings: Settings) -> None:
    settings.STAND_INS = True
    text = page(staff)
    assert "Not expected in development and in a demo" in text
    assert "is-bad" not in text
    assert "is-warn" not in text
