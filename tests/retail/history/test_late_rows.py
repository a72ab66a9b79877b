"""Rows written after their minute was rolled up are added to their hour and day."""

from datetime import timedelta

import pytest

from retail.history import rollups
from retail.history.points import floor
from retail.history.rollups import DAY, HOUR, MINUTE, Period
from retail.models import Metric, MetricRollup, RollupMark
from tests.retail.history.rows import KIND, MIDNIGHT, at_the_end_of, roll_up, row, stored

pytestmark = pytest.mark.django_db


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
