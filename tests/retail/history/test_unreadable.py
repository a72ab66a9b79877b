"""Rows that cannot be read, understood or written stop no others, and are named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retail.history import points, rollups
from retail.history.points import Point
from retail.history.rollups import DAY, HOUR, Period
from retail.models import Metric, MetricRollup
from retail.observability.rows.recorder import Row
from tests.retail.conftest import Lines
from tests.support import moved

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
KIND = "stock_conflicts"


def row(moment: datetime, value: float = 1, **metadata: Any) -> None:
    Metric.objects.create(metric_type=KIND, value=value, metadata=metadata, timestamp=moment)


def stored() -> list[tuple[Any, ...]]:
    hours = MetricRollup.objects.filter(period=Period.HOUR).order_by("start")
    return list(hours.values_list("start", "metric_type", "count", "total", "minimum", "maximum"))


def test_a_row_that_makes_no_sense_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    def point_of(kind: str, value: float, metadata: Any, start: datetime) -> Point:
        if metadata.get("odd"):
            raise LookupError("no such bound")
        return points.point_of(kind, value, metadata, start)

    monkeypatch.setattr(rollups, "point_of", point_of)
    row(MIDNIGHT, 2)
    row(MIDNIGHT, 4, odd=True)
    row(MIDNIGHT, 8)
    with moved() as changes:
        rollups.roll_up(MIDNIGHT + HOUR + rollups.SETTLING)
    assert stored() == [(MIDNIGHT, KIND, 2, 10, 2, 8)]
    assert changes['retail_telemetry_errors_total{sink="rows"}'] >= 1
    named = [line for line in lines() if line["message"] == "event=metric_row.unusable"]
    assert {line["extra"]["metric_type"] for line in named} == {KIND}


@pytest.mark.parametrize("age", [HOUR, 4 * DAY], ids=["by the minute", "by the hour"])
def test_a_row_that_cannot_be_read_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, lines: Lines, age: timedelta
) -> None:
    def read(value: float, *_: object) -> float:
        if value == 4:
            raise ArithmeticError("what a number")
        return value

    monkeypatch.setattr(Metric._meta.get_field("value"), "from_db_value", read, raising=False)
    for value in (2, 4, 8):
        row(MIDNIGHT, value)
    rollups.roll_up(MIDNIGHT + age + rollups.SETTLING)
    assert stored() == [(MIDNIGHT, KIND, 2, 10, 2, 8)]
    bad = str(Metric.objects.order_by("pk").values_list("pk", flat=True)[1])
    named = [line["extra"] for line in lines() if line["message"] == "event=batch.item_failed"]
    assert {(line["batch"], line["row"]) for line in named} == {("retail_metric", bad)}


def test_a_row_that_the_driver_refuses_does_not_hold_up_the_others() -> None:
    good = Row(KIND, 1, "{}", MIDNIGHT)
    with moved() as changes:
        rollups.write_rows([good, Row(KIND, 1, '"\ud800"', MIDNIGHT), good])
    assert Metric.objects.count() == 2
    assert changes["retail_metric_rows_dropped_total"] == 1
