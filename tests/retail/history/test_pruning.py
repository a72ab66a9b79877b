"""Pruning deletes exactly the old rows and keeps rollups."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from retail import tasks
from retail.history import rollups
from retail.history.rollups import DAY, Period
from retail.models import Metric
from tests.retail.history.rows import KIND, LAST_MOMENT, MIDNIGHT, row, stored

pytestmark = pytest.mark.django_db


def test_pruning_deletes_exactly_older_rows_after_rolling_them_up() -> None:
    border = MIDNIGHT - timedelta(days=7)
    for moment in (border - LAST_MOMENT, border, border + LAST_MOMENT, MIDNIGHT):
        row(moment)
    assert rollups.prune(7, MIDNIGHT) == 1
    assert list(Metric.objects.order_by("timestamp").values_list("timestamp", flat=True)) == [
        border,
        border + LAST_MOMENT,
        MIDNIGHT,
    ]
    assert stored(Period.DAY) == [
        (border - DAY, KIND, 1, 1, 1, 1),
        (border, KIND, 2, 2, 1, 1),
    ]


def test_pruning_deletes_in_batches_with_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollups, "PRUNE_BATCH", 3)
    pauses: list[float] = []
    monkeypatch.setattr("retail.history.rollups.time.sleep", pauses.append)
    for _ in range(7):
        row(MIDNIGHT - timedelta(days=8))
    row(MIDNIGHT)
    with CaptureQueriesContext(connection) as queries:
        assert rollups.prune(7, MIDNIGHT) == 7
    deletions = [query["sql"] for query in queries if "DELETE" in query["sql"]]
    assert sum('"retail_metric"' in sql for sql in deletions) == 3
    assert len(pauses) == 3
    assert all(0 < pause <= rollups.LONGEST_PAUSE for pause in pauses)
    assert Metric.objects.count() == 1


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("prune_metrics", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prunes_rows_older_than_the_given_days(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: MIDNIGHT)
    for days in (3, 89, 91):
        row(MIDNIGHT - timedelta(days=days))
    assert command() == "Deleted 1 row older than 90 days.\n"
    assert command("--days", "7") == "Deleted 1 row older than 7 days.\n"
    assert command("--days=7") == "Deleted 0 rows older than 7 days.\n"
    assert Metric.objects.count() == 1


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("0", "--days must be from 1 to 36500"),
        ("-5", "--days must be from 1 to 36500"),
        ("many", "--days: must be a whole number of days from 1 to 36500, not 'many'"),
        ("7.5", "not '7.5'"),
        ("", "not ''"),
        ("99999999999", "--days must be from 1 to 36500"),
    ],
)
def test_the_command_refuses_invalid_days(days: str, message: str) -> None:
    row(MIDNIGHT - timedelta(days=1000))
    with pytest.raises(CommandError, match=message):
        command(f"--days={days}")
    assert Metric.objects.count() == 1


def test_the_job_prunes_by_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: MIDNIGHT)
    settings.METRIC_KEEP_DAYS = 2
    row(MIDNIGHT - timedelta(days=2, seconds=1))
    row(MIDNIGHT - timedelta(days=2))
    assert tasks.prune_metrics() == 1
