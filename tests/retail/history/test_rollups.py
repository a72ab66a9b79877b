"""Rollups are exact and idempotent; pruning deletes exactly the old rows and keeps rollups."""

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

from retail import tasks
from retail.history import rollups
from retail.history.points import Point, floor
from retail.history.rollups import DAY, HOUR, MINUTE, Period
from retail.models import Metric, MetricRollup, RollupMark

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
KIND = "refunds_per_day"
LAST_MOMENT = timedelta(microseconds=1)


def row(moment: datetime, value: float = 1, kind: str = KIND, **metadata: Any) -> None:
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=moment)


def stored(period: MetricRollup.Period) -> list[tuple[Any, ...]]:
    return list(
        MetricRollup.objects.filter(period=period)
        .order_by("start", "metric_type")
        .values_list("start", "metric_type", "count", "total", "minimum", "maximum")
    )


def at_the_end_of(moment: datetime) -> datetime:
    """Return the earliest time at which all rows before `moment` are rolled up."""
    return moment + rollups.SETTLING


def roll_up(until: datetime) -> None:
    rollups.roll_up(at_the_end_of(until))


def test_an_hour_includes_its_start_but_not_its_end() -> None:
    row(MIDNIGHT - LAST_MOMENT, 1)
    row(MIDNIGHT, 2)
    row(MIDNIGHT + HOUR - LAST_MOMENT, 4)
    row(MIDNIGHT + HOUR, 8)
    roll_up(MIDNIGHT + HOUR)
    assert stored(Period.HOUR) == [
        (MIDNIGHT - HOUR, KIND, 1, 1, 1, 1),
        (MIDNIGHT, KIND, 2, 6, 2, 4),
    ]
    assert stored(Period.DAY) == [
        (MIDNIGHT - DAY, KIND, 1, 1, 1, 1),
        (MIDNIGHT, KIND, 2, 6, 2, 4),
    ]
    assert [(start, count) for start, _, count, *_ in stored(Period.MINUTE)] == [
        (MIDNIGHT - MINUTE, 1),
        (MIDNIGHT, 1),
        (MIDNIGHT + HOUR - MINUTE, 1),
    ]


def test_a_row_is_weighted_by_its_count() -> None:
    row(MIDNIGHT, 10, "error_rate", count=40, errors=4, client_errors=3)
    row(MIDNIGHT, 1, "error_rate", count=10, errors=1)
    row(MIDNIGHT, 0)
    row(MIDNIGHT, 100)
    roll_up(MIDNIGHT + MINUTE)
    for period in Period:
        assert stored(period) == [
            (MIDNIGHT, "error_rate", 50, 410, 1, 10),
            (MIDNIGHT, KIND, 2, 100, 0, 100),
        ]
        rows = MetricRollup.objects.filter(period=period, metric_type="error_rate")
        assert list(rows.values_list("aggregates", flat=True)) == [
            {"errors": 5, "client_errors": 3}
        ]


@pytest.mark.parametrize("count", ["many", None, -3, 0, [4], {}, 2.5, True, 10**15, 10**16])
def test_an_invalid_count_counts_as_one(count: Any) -> None:
    row(MIDNIGHT, 5, "stock_conflicts", count=count)
    row(MIDNIGHT, 7, "stock_conflicts", count=3)
    roll_up(MIDNIGHT + HOUR)
    weight = count if count == 10**15 else 1
    assert stored(Period.HOUR) == [(MIDNIGHT, "stock_conflicts", weight + 3, 5 * weight + 21, 5, 7)]


def test_rolling_up_again_is_idempotent_and_includes_late_rows() -> None:
    row(MIDNIGHT, 2)
    for _ in range(2):
        roll_up(MIDNIGHT + 14 * MINUTE)
    assert stored(Period.HOUR) == stored(Period.DAY) == [(MIDNIGHT, KIND, 1, 2, 2, 2)]
    row(MIDNIGHT, 6)
    roll_up(MIDNIGHT + 15 * MINUTE)  # re-reads the last LATE
    for period in Period:
        assert stored(period) == [(MIDNIGHT, KIND, 2, 8, 2, 6)]


@pytest.mark.parametrize("late", [20 * MINUTE, 5 * HOUR, 30 * HOUR, 3 * DAY, 40 * DAY])
def test_rows_however_late_are_added_to_their_hour_and_day(late: timedelta) -> None:
    now = MIDNIGHT + 11 * HOUR
    row(now - late, 2)
    row(now, 2)
    roll_up(now)
    row(now - late, 6)
    row(now - late + MINUTE, 4)
    row(now - late - 2 * HOUR, 1)
    roll_up(now + MINUTE)
    first = MetricRollup.objects.filter(period=Period.HOUR).order_by("start")[:2]
    assert [(hour.count, hour.total, hour.maximum) for hour in first] == [(1, 1, 1), (3, 12, 6)]
    hour = floor(now - late, HOUR)
    assert [one.start for one in first] == [hour - 2 * HOUR, hour]
    days = stored(Period.DAY)
    assert (sum(day[2] for day in days), sum(day[3] for day in days)) == (5, 15)
    assert days[0][0] == floor(hour - 2 * HOUR, DAY)
    minutes = {start: total for start, _, _, total, *_ in stored(Period.MINUTE)}
    fine = late < rollups.KEEP_MINUTES - 12 * HOUR
    assert minutes.get(now - late) == (8 if fine else None)


def test_a_late_row_is_found_although_newer_rows_were_seen_before() -> None:
    """Its transaction had begun earlier, but ended later."""
    now = MIDNIGHT + 11 * HOUR
    row(now - 5 * HOUR, 2)
    row(now, 2)
    roll_up(now)
    newest = Metric.objects.latest("pk").pk
    row(now, 2)
    row(now, 2)
    roll_up(now + MINUTE)
    Metric.objects.create(
        pk=Metric.objects.latest("pk").pk + 10, metric_type=KIND, value=2, timestamp=now
    )
    Metric.objects.filter(pk=newest + 1).update(timestamp=now - 5 * HOUR)
    roll_up(now + 2 * MINUTE)
    assert stored(Period.HOUR)[0] == (now - 5 * HOUR, KIND, 2, 4, 2, 2)


def test_late_rows_are_looked_for_only_among_new_ones() -> None:
    now = MIDNIGHT + 11 * HOUR
    row(now - 5 * HOUR, 2)
    for minute in range(3):
        row(now, 2)
        roll_up(now + minute * MINUTE)
    MetricRollup.objects.filter(period=Period.HOUR, start=now - 5 * HOUR).update(total=7)
    roll_up(now + 3 * MINUTE)
    assert stored(Period.HOUR)[0] == (now - 5 * HOUR, KIND, 1, 7, 2, 2)


def test_a_shop_that_did_not_look_for_late_rows_yet_starts_with_new_ones() -> None:
    now = MIDNIGHT + 11 * HOUR
    row(now - 5 * HOUR, 2)
    RollupMark.objects.create(until=now)
    roll_up(now + MINUTE)
    assert stored(Period.HOUR) == []
    row(now - 7 * HOUR, 2)
    roll_up(now + 2 * MINUTE)
    assert stored(Period.HOUR) == [(now - 7 * HOUR, KIND, 1, 2, 2, 2)]


def test_late_rows_that_take_too_long_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    now = MIDNIGHT + 11 * HOUR
    row(now - MINUTE, 2)
    roll_up(now)
    hours = [now - back * HOUR for back in range(5, 2, -1)]
    for hour in hours:
        row(hour)
    seconds = iter(range(1000))
    monkeypatch.setattr("retail.history.rollups.time.monotonic", lambda: float(next(seconds)))
    rollups.roll_up(at_the_end_of(now + MINUTE), seconds=4)
    assert len(stored(Period.HOUR)) == 2
    rollups.roll_up(at_the_end_of(now + 2 * MINUTE), seconds=1000)
    assert [start for start, *_ in stored(Period.HOUR)] == [*hours, now - HOUR]


def test_a_late_row_does_not_replace_an_hour_whose_rows_are_pruned() -> None:
    old = MIDNIGHT - 90 * DAY
    for _ in range(3):
        row(old, 2)
    row(MIDNIGHT)
    assert rollups.prune(7, at_the_end_of(MIDNIGHT)) == 3
    row(old, 9)
    row(old + HOUR, 9)
    roll_up(MIDNIGHT + MINUTE)
    assert stored(Period.HOUR)[:2] == [(old, KIND, 3, 6, 2, 2), (old + HOUR, KIND, 1, 9, 9, 9)]
    assert stored(Period.DAY)[0] == (old, KIND, 4, 15, 2, 9)


def test_a_minute_is_rolled_up_only_after_its_rows_are_written() -> None:
    row(MIDNIGHT, 2)
    rollups.roll_up(MIDNIGHT + MINUTE + rollups.SETTLING - LAST_MOMENT)
    assert (rollups.rolled_until(), stored(Period.MINUTE)) == (None, [])
    rollups.roll_up(MIDNIGHT + MINUTE + rollups.SETTLING)
    assert rollups.rolled_until() == MIDNIGHT + MINUTE
    assert stored(Period.MINUTE) == [(MIDNIGHT, KIND, 1, 2, 2, 2)]


def test_a_day_is_combined_from_its_hours_and_starts_at_midnight_utc() -> None:
    moments = [MIDNIGHT - LAST_MOMENT, MIDNIGHT, MIDNIGHT + 23.5 * HOUR, MIDNIGHT + 24 * HOUR]
    for value, moment in zip([1, 2, 4, 8], moments, strict=True):
        row(moment, value)
    # 1:30 in Madrid is still half past midnight in UTC.
    madrid = datetime(2026, 11, 23, 1, 30, tzinfo=offset(timedelta(hours=1)))
    roll_up(madrid)
    assert stored(Period.DAY) == [
        (MIDNIGHT - DAY, KIND, 1, 1, 1, 1),
        (MIDNIGHT, KIND, 2, 6, 2, 4),
        (MIDNIGHT + DAY, KIND, 1, 8, 8, 8),
    ]
    assert rollups.rolled_until() == MIDNIGHT + DAY + HOUR / 2


def test_a_period_without_rows_keeps_its_rollup() -> None:
    row(MIDNIGHT, 2)
    roll_up(MIDNIGHT + MINUTE)
    Metric.objects.all().delete()
    roll_up(MIDNIGHT + 2 * MINUTE)
    for period in Period:
        assert stored(period) == [(MIDNIGHT, KIND, 1, 2, 2, 2)]


@pytest.mark.parametrize("away", [HOUR, 30 * HOUR, 3 * DAY, 9 * DAY + 5 * MINUTE])
def test_hours_without_a_worker_are_rolled_up_later(away: timedelta) -> None:
    early = MIDNIGHT + 10 * HOUR + 20 * MINUTE
    moments = [early, early + 30 * MINUTE, early + away / 2, early + away - MINUTE]
    row(moments[0], 1)
    roll_up(early + 25 * MINUTE)
    for value, moment in zip([2, 4, 8], moments[1:], strict=True):
        row(moment, value)
    now = early + away
    roll_up(now)
    expected: dict[datetime, float] = {}
    for value, moment in zip([1, 2, 4, 8], moments, strict=True):
        hour = moment.replace(minute=0, second=0)
        expected[hour] = expected.get(hour, 0) + value
    assert {start: total for start, _, _, total, *_ in stored(Period.HOUR)} == expected
    days = stored(Period.DAY)
    assert (sum(day[2] for day in days), sum(day[3] for day in days)) == (4, 15)
    assert rollups.rolled_until() == now
    kept = {start for start, *_ in stored(Period.MINUTE)}
    border = (now - rollups.KEEP_MINUTES).replace(minute=0)
    assert kept == {moment for moment in moments if moment >= border}


def test_catching_up_takes_several_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("retail.history.rollups.time.monotonic", lambda: float(next(seconds)))
    for day in range(10):
        row(MIDNIGHT + day * DAY)
    now = at_the_end_of(MIDNIGHT + 10 * DAY)
    rollups.roll_up(now, seconds=4)
    assert rollups.rolled_until() == MIDNIGHT + 3 * DAY
    assert len(stored(Period.DAY)) == 3
    rollups.roll_up(now, seconds=1000)
    assert rollups.rolled_until() == MIDNIGHT + 10 * DAY
    assert stored(Period.DAY) == [(MIDNIGHT + day * DAY, KIND, 1, 1, 1, 1) for day in range(10)]


def test_a_clock_set_back_loses_nothing() -> None:
    row(MIDNIGHT, 2)
    roll_up(MIDNIGHT + HOUR)
    row(MIDNIGHT + 10 * MINUTE, 4)
    roll_up(MIDNIGHT + 11 * MINUTE)
    assert rollups.rolled_until() == MIDNIGHT + 11 * MINUTE
    assert stored(Period.HOUR) == [(MIDNIGHT, KIND, 2, 6, 2, 4)]


def test_a_source_replaces_the_rows_of_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def points(since: datetime, until: datetime, step: timedelta) -> list[Point]:
        asked.append((since, until, step))
        return [Point(since, 3, 30, 5, 15, {"kinds": {"cart": 3}})]

    source = rollups.Source(points, lambda: MIDNIGHT + MINUTE)
    monkeypatch.setattr(rollups, "sources", {KIND: source})
    row(MIDNIGHT + HOUR / 2, 1)  # of another minute than the source's
    row(MIDNIGHT + HOUR, 1)
    roll_up(MIDNIGHT + HOUR + 2 * MINUTE)
    assert asked == [
        (MIDNIGHT, MIDNIGHT + HOUR, MINUTE),
        (MIDNIGHT + HOUR, MIDNIGHT + HOUR + 2 * MINUTE, MINUTE),
    ]
    assert stored(Period.DAY) == [(MIDNIGHT, KIND, 6, 60, 5, 15)]
    assert MetricRollup.objects.get(period=Period.DAY).aggregates == {"kinds": {"cart": 6}}


def test_the_job_rolls_up_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    now = at_the_end_of(MIDNIGHT + timedelta(minutes=4))
    monkeypatch.setattr(timezone, "now", lambda: now)
    row(MIDNIGHT - MINUTE, 2)
    row(MIDNIGHT, 4)
    assert tasks.roll_up_metrics() == 6
    assert stored(Period.HOUR) == [
        (MIDNIGHT - HOUR, KIND, 1, 2, 2, 2),
        (MIDNIGHT, KIND, 1, 4, 4, 4),
    ]


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


def test_the_worker_waits_ten_seconds() -> None:
    rollups.roll_up(MIDNIGHT + 15 * MINUTE + timedelta(seconds=9.9))
    assert rollups.rolled_until() == MIDNIGHT + 14 * MINUTE
    rollups.roll_up(MIDNIGHT + 15 * MINUTE + timedelta(seconds=10))
    assert rollups.rolled_until() == MIDNIGHT + 15 * MINUTE


def test_minutes_are_kept_for_two_days_in_whole_hours() -> None:
    now = MIDNIGHT + 2 * DAY + HOUR / 2
    for moment in (MIDNIGHT - LAST_MOMENT, MIDNIGHT):
        row(moment)
    roll_up(now)
    assert stored(Period.MINUTE) == [(MIDNIGHT, KIND, 1, 1, 1, 1)]
    roll_up(now + HOUR / 2)
    assert stored(Period.MINUTE) == []
    assert [(start, count) for start, _, count, *_ in stored(Period.HOUR)] == [
        (MIDNIGHT - HOUR, 1),
        (MIDNIGHT, 1),
    ]
