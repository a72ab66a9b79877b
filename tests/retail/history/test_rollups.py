"""Rollups are exact and idempotent."""

from datetime import datetime, timedelta
from datetime import timezone as offset
from typing import Any

import pytest
from django.utils import timezone

from retail import tasks
from retail.history import rollups
from retail.history.points import Point
from retail.history.rollups import DAY, HOUR, MINUTE, Period
from retail.models import Metric, MetricRollup
from tests.retail.history.rows import (
    KIND,
    LAST_MOMENT,
    MIDNIGHT,
    at_the_end_of,
    roll_up,
    row,
    stored,
)

pytestmark = pytest.mark.django_db


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
