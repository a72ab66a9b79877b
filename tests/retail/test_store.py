"""Rollups are exact and repeatable; pruning takes exactly what is old and leaves the history."""

from datetime import UTC, datetime, timedelta
from datetime import timezone as offset
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from retail import store, tasks
from retail.models import Metric, MetricRollup
from retail.store import Period

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
LAST_MOMENT = timedelta(microseconds=1)


def row(moment: datetime, value: float = 1, kind: str = "orders_per_day", **metadata: Any) -> None:
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=moment)


def rollups(period: MetricRollup.Period) -> list[tuple[Any, ...]]:
    return list(
        MetricRollup.objects.filter(period=period)
        .order_by("start", "metric_type")
        .values_list("start", "metric_type", "count", "total", "minimum", "maximum")
    )


def test_an_hour_is_from_its_first_moment_to_before_the_next() -> None:
    row(MIDNIGHT - LAST_MOMENT, 1)
    row(MIDNIGHT, 2)
    row(MIDNIGHT + HOUR - LAST_MOMENT, 4)
    row(MIDNIGHT + HOUR, 8)
    assert store.roll_up(Period.HOUR, MIDNIGHT + HOUR / 2) == 1
    assert rollups(Period.HOUR) == [(MIDNIGHT, "orders_per_day", 2, 6, 2, 4)]


def test_a_row_weighs_what_it_stands_for() -> None:
    row(MIDNIGHT, 10, "error_rate", count=40)
    row(MIDNIGHT, 1, "error_rate", count=10)
    row(MIDNIGHT, 0, "payment_success_rate")
    row(MIDNIGHT, 100, "payment_success_rate")
    assert store.roll_up(Period.HOUR, MIDNIGHT) == 2
    assert rollups(Period.HOUR) == [
        (MIDNIGHT, "error_rate", 50, 410, 1, 10),
        (MIDNIGHT, "payment_success_rate", 2, 100, 0, 100),
    ]


@pytest.mark.parametrize("count", ["many", None, -3, 0, [4], {}, 2.5, True, 10**15])
def test_a_count_that_is_none_weighs_one_and_stops_no_rollup(count: Any) -> None:
    row(MIDNIGHT, 5, "stock_conflicts", count=count)
    row(MIDNIGHT, 7, "stock_conflicts", count=3)
    store.roll_up(Period.HOUR, MIDNIGHT)
    weight = count if count == 10**15 else 1
    assert rollups(Period.HOUR) == [
        (MIDNIGHT, "stock_conflicts", weight + 3, 5 * weight + 21, 5, 7)
    ]


def test_rolling_up_again_is_the_same_and_takes_in_what_came_late() -> None:
    row(MIDNIGHT, 2)
    for _ in range(2):
        store.roll_up(Period.HOUR, MIDNIGHT)
        store.roll_up(Period.DAY, MIDNIGHT)
    assert rollups(Period.HOUR) == rollups(Period.DAY) == [(MIDNIGHT, "orders_per_day", 1, 2, 2, 2)]
    row(MIDNIGHT, 6)
    store.roll_up(Period.HOUR, MIDNIGHT)
    store.roll_up(Period.DAY, MIDNIGHT)
    assert rollups(Period.HOUR) == rollups(Period.DAY) == [(MIDNIGHT, "orders_per_day", 2, 8, 2, 6)]


def test_a_day_is_made_from_its_hours_and_begins_at_midnight_utc() -> None:
    moments = [MIDNIGHT - LAST_MOMENT, MIDNIGHT, MIDNIGHT + 23.5 * HOUR, MIDNIGHT + 24 * HOUR]
    for value, moment in zip([1, 2, 4, 8], moments, strict=True):
        row(moment, value)
        store.roll_up(Period.HOUR, moment)
    Metric.objects.all().delete()  # pruned
    # 1:30 in Madrid is still yesterday in UTC.
    madrid = datetime(2026, 11, 23, 0, 30, tzinfo=offset(timedelta(hours=1)))
    assert store.roll_up(Period.DAY, madrid) == 1
    assert rollups(Period.DAY) == [(MIDNIGHT, "orders_per_day", 2, 6, 2, 4)]


def test_a_period_without_rows_keeps_what_was_rolled_up() -> None:
    row(MIDNIGHT, 2)
    store.roll_up(Period.HOUR, MIDNIGHT)
    Metric.objects.all().delete()
    assert store.roll_up(Period.HOUR, MIDNIGHT) == 0
    assert rollups(Period.HOUR) == [(MIDNIGHT, "orders_per_day", 1, 2, 2, 2)]


def test_the_job_rolls_up_this_hour_and_day_and_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = MIDNIGHT + timedelta(minutes=4)
    monkeypatch.setattr(timezone, "now", lambda: now)
    row(now - timedelta(minutes=5), 2)
    row(now, 4)
    assert tasks.roll_up_metrics() == 4
    yesterday = MIDNIGHT - timedelta(days=1)
    assert rollups(Period.HOUR) == [
        (MIDNIGHT - HOUR, "orders_per_day", 1, 2, 2, 2),
        (MIDNIGHT, "orders_per_day", 1, 4, 4, 4),
    ]
    assert rollups(Period.DAY) == [
        (yesterday, "orders_per_day", 1, 2, 2, 2),
        (MIDNIGHT, "orders_per_day", 1, 4, 4, 4),
    ]


def test_pruning_takes_exactly_what_is_older_and_leaves_the_rollups() -> None:
    border = MIDNIGHT - timedelta(days=7)
    for moment in (border - LAST_MOMENT, border, border + LAST_MOMENT, MIDNIGHT):
        row(moment)
    store.roll_up(Period.HOUR, border - LAST_MOMENT)
    assert store.prune(7, MIDNIGHT) == 1
    assert list(Metric.objects.order_by("timestamp").values_list("timestamp", flat=True)) == [
        border,
        border + LAST_MOMENT,
        MIDNIGHT,
    ]
    assert MetricRollup.objects.count() == 1


def test_pruning_goes_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PRUNE_BATCH", 3)
    for _ in range(7):
        row(MIDNIGHT - timedelta(days=8))
    row(MIDNIGHT)
    with CaptureQueriesContext(connection) as queries:
        assert store.prune(7, MIDNIGHT) == 7
    assert sum(query["sql"].startswith("DELETE") for query in queries) == 3
    assert Metric.objects.count() == 1


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("prune_metrics", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prunes_what_is_past_the_days_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timezone, "now", lambda: MIDNIGHT)
    for days in (3, 89, 91):
        row(MIDNIGHT - timedelta(days=days))
    assert command() == "Deleted 1 rows older than 90 days.\n"
    assert command("--days", "7") == "Deleted 1 rows older than 7 days.\n"
    assert command("--days=7") == "Deleted 0 rows older than 7 days.\n"
    assert Metric.objects.count() == 1


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("0", "--days must be at least 1"),
        ("-5", "--days must be at least 1"),
        ("many", "invalid int value: 'many'"),
        ("99999999999", "and at most 36500"),
    ],
)
def test_the_command_refuses_days_that_make_no_sense(days: str, message: str) -> None:
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
