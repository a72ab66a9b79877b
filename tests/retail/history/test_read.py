"""Time series equal the recorded rows, whether rolled up or not."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from datetime import timezone as offset
from random import Random
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from retail.history import read as reading
from retail.history import rollups
from retail.history.read import (
    RANGES,
    Point,
    TimeRange,
    days_range,
    history,
    merged,
    rolled_until,
    time_range,
    total,
)
from retail.history.rollups import DAY, HOUR, MINUTE
from retail.models import Metric, MetricRollup, RollupMark

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 14, 20, 30, tzinfo=UTC)
ROWS = "error_rate", "throttled_requests"


def row(
    moment: datetime, value: float = 1, kind: str = "throttled_requests", **metadata: Any
) -> None:
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=moment)


def counts(span: TimeRange, kind: str = "throttled_requests") -> dict[datetime, int]:
    return {point.start: point.count for point in history([kind], span)[kind]}


@pytest.mark.parametrize(
    ("name", "since", "steps"),
    [
        ("1h", datetime(2026, 11, 22, 13, 21, tzinfo=UTC), 60),
        ("24h", datetime(2026, 11, 21, 15, tzinfo=UTC), 24),
        ("7d", datetime(2026, 11, 15, 15, tzinfo=UTC), 168),
        ("30d", datetime(2026, 10, 24, tzinfo=UTC), 30),
        ("90d", datetime(2026, 8, 25, tzinfo=UTC), 90),
    ],
)
def test_a_range_ends_now_and_has_its_steps(name: str, since: datetime, steps: int) -> None:
    madrid = NOW.astimezone(offset(timedelta(hours=1)))
    span = time_range(name, madrid)
    assert (span.since, span.until) == (since, NOW)
    assert len(span.starts) == steps == RANGES[name][0]
    assert span.starts[0] == since
    assert span.starts[-1] <= NOW < span.starts[-1] + span.step
    before = span.before
    assert (before.since, before.until) == (since - steps * span.step, NOW - steps * span.step)
    assert len(before.starts) == steps
    assert before.starts[-1] + span.step == since


@pytest.mark.parametrize(("days", "steps", "step"), [(1, 24, HOUR), (7, 168, HOUR), (8, 8, DAY)])
def test_few_days_are_shown_by_hour_and_more_by_day(days: int, steps: int, step: timedelta) -> None:
    span = days_range(days, NOW)
    assert (len(span.starts), span.step, span.until) == (steps, step, NOW)
    assert days_range(90, NOW) == time_range("90d", NOW)


@pytest.mark.parametrize("days", [0, -1, 91])
def test_an_invalid_number_of_days_is_refused(days: int) -> None:
    with pytest.raises(ValueError, match="days must be from 1 to 90"):
        days_range(days, NOW)


def test_a_range_that_ends_at_a_step_has_no_empty_step() -> None:
    assert TimeRange(NOW - HOUR, NOW, HOUR).starts == [NOW - HOUR]


def test_points_are_exact() -> None:
    for minutes, value, aggregates in [
        (1, 50.0, {"count": 4, "errors": 2, "client_errors": 1}),
        (2, 0.0, {"count": 6, "errors": 0, "client_errors": 3}),
        (90, 100.0, {"count": 1, "errors": 1, "client_errors": 0}),
    ]:
        row(NOW - minutes * MINUTE, value, "error_rate", **aggregates)
    expected = [
        Point(
            datetime(2026, 11, 22, 12, tzinfo=UTC),
            1,
            100.0,
            100.0,
            100.0,
            {"errors": 1, "client_errors": 0},
        ),
        Point(
            datetime(2026, 11, 22, 14, tzinfo=UTC),
            10,
            200.0,
            0.0,
            50.0,
            {"errors": 2, "client_errors": 4},
        ),
    ]
    for _ in range(2):  # read live, and then rolled up
        assert history(["error_rate"], time_range("24h", NOW)) == {"error_rate": expected}
        rollups.roll_up(NOW)
    whole = merged(expected)
    assert whole is not None
    assert history(["error_rate"], time_range("30d", NOW))["error_rate"] == [
        Point(datetime(2026, 11, 22, tzinfo=UTC), *list_of(whole)[1:])
    ]


def list_of(point: Point) -> list[Any]:
    return [getattr(point, name) for name in rollups.POINT]


def scatter(random: Random, days: float, rows: int) -> None:
    Metric.objects.bulk_create(
        Metric(
            metric_type=random.choice(ROWS),
            value=1,
            metadata={"count": random.randint(1, 9), "errors": random.randint(0, 5)},
            timestamp=NOW - random.random() ** 3 * days * DAY,
        )
        for _ in range(rows)
    )


def by_hand(kind: str, span: TimeRange, until: datetime) -> dict[datetime, tuple[int, int]]:
    """Aggregate rows in plain Python: events and errors by step."""
    events: Counter[datetime] = Counter()
    errors: Counter[datetime] = Counter()
    for metric in Metric.objects.filter(metric_type=kind):
        if span.since <= metric.timestamp < until:
            start = max(start for start in span.starts if start <= metric.timestamp)
            events[start] += metric.metadata["count"]
            errors[start] += metric.metadata["errors"]
    return {start: (events[start], errors[start]) for start in sorted(events)}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("worker", [[0], [77], [200, 61], [5000, 40], [9000, 3000, 355, 10, 3]])
def test_every_range_is_the_sum_of_its_rows_whenever_they_were_rolled_up(
    monkeypatch: pytest.MonkeyPatch, name: str, worker: list[int]
) -> None:
    monkeypatch.setattr(rollups, "sources", {})  # half the queries of each hour, and none of ROWS
    random = Random(f"{name}{worker}")  # noqa: S311 - not about secrets
    scatter(random, days=120 if RANGES[name][1] == DAY else 9, rows=400)
    for minutes in worker:
        rollups.roll_up(NOW - minutes * MINUTE)
    span = time_range(name, NOW)
    series = history(ROWS, span)
    for kind in ROWS:
        expected = by_hand(kind, span, NOW)
        assert expected
        assert {point.start: point.count for point in series[kind]} == {
            start: events for start, (events, _) in expected.items()
        }
        whole = total(ROWS, span)[kind]
        assert whole.count == sum(events for events, _ in expected.values())
        assert whole == merged(series[kind])
    errors = {point.start: point.aggregates["errors"] for point in series["error_rate"]}
    assert errors == {start: wrong for start, (_, wrong) in by_hand(ROWS[0], span, NOW).items()}


@pytest.mark.parametrize(("name", "precision"), [("1h", MINUTE), ("24h", MINUTE), ("90d", HOUR)])
def test_the_previous_range_ends_as_early_as_this_one(name: str, precision: timedelta) -> None:
    span = time_range(name, NOW).before
    cut = span.until - (span.until - datetime(2026, 1, 1, tzinfo=UTC)) % precision
    row(span.since - timedelta(microseconds=1), count=1)
    row(span.since, count=2)
    row(cut - timedelta(microseconds=1), count=4)
    row(cut + precision, count=8)
    rollups.roll_up(NOW)
    assert sum(counts(span).values()) == 6
    assert set(counts(span)) <= set(span.starts)
    assert total(["throttled_requests"], span)["throttled_requests"].count == 6


def test_concurrent_rollups_are_not_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row(NOW - 70 * MINUTE, count=1)
    row(NOW - 5 * MINUTE, count=2)
    rollups.roll_up(NOW - 65 * MINUTE)

    def read_before_the_rollup() -> datetime | None:
        mark = rolled_until()
        rollups.roll_up(NOW)
        return mark

    monkeypatch.setattr(reading, "rolled_until", read_before_the_rollup)
    assert sum(counts(time_range("90d", NOW)).values()) == 3


def test_without_a_worker_the_last_hours_are_read_and_older_ones_wait() -> None:
    row(NOW - 6 * HOUR - MINUTE, count=1)
    row(NOW - 6 * HOUR, count=2)
    row(NOW - MINUTE, count=4)
    span = time_range("24h", NOW)
    assert sum(counts(span).values()) == 6
    assert rolled_until() is None
    rollups.roll_up(NOW)
    assert rolled_until() == NOW.replace(second=0)
    assert sum(counts(span).values()) == 7


def test_a_stopped_worker_leaves_a_gap_with_a_known_start() -> None:
    row(NOW - 20 * HOUR, count=1)
    rollups.roll_up(NOW - 19 * HOUR)
    row(NOW - 10 * HOUR, count=2)
    row(NOW - HOUR, count=4)
    assert list(counts(time_range("24h", NOW)).values()) == [1, 4]
    assert rolled_until() == (NOW - 19 * HOUR).replace(second=0)


def test_rows_after_the_range_are_not_included() -> None:
    row(NOW - 3 * HOUR, count=1)
    row(NOW, count=2)
    earlier = time_range("1h", NOW - 150 * MINUTE)
    assert list(counts(earlier).values()) == [1]
    assert list(counts(time_range("1h", NOW)).values()) == []
    rollups.roll_up(NOW + HOUR)
    assert list(counts(earlier).values()) == [1]
    assert list(counts(time_range("1h", NOW)).values()) == []


def test_only_requested_types_are_returned() -> None:
    row(NOW - MINUTE)
    row(NOW - MINUTE, kind="stock_conflicts")
    for _ in range(2):  # read live, and then rolled up
        assert set(history(["stock_conflicts", "avg_response_time"], time_range("1h", NOW))) == {
            "stock_conflicts",
            "avg_response_time",
        }
        assert history(["avg_response_time"], time_range("1h", NOW)) == {"avg_response_time": []}
        assert total(["avg_response_time"], time_range("1h", NOW)) == {}
        rollups.roll_up(NOW)


def test_a_total_of_many_hours_is_read_from_days() -> None:
    for hour in range(8 * 24):
        row(NOW - MINUTE - hour * HOUR, count=2)
    rollups.roll_up(NOW)
    MetricRollup.objects.filter(period=rollups.Period.HOUR, start__day=18).delete()
    span = time_range("7d", NOW)
    kind = "throttled_requests"
    assert len(history([kind], span)[kind]) == 6 * 24
    assert total([kind], span)[kind].count == 2 * 7 * 24


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("rows", [0, 300])
def test_the_number_of_queries_does_not_grow(
    name: str, rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    scatter(Random(1), days=90, rows=rows)  # noqa: S311 - not about secrets
    rollups.roll_up(NOW - MINUTE)
    with django_assert_num_queries(3):
        history(ROWS, time_range(name, NOW))
    with django_assert_num_queries(2):  # all rows are rolled up
        total(ROWS, time_range(name, NOW).before)
    with django_assert_num_queries(5):
        history([*ROWS, "orders_per_day", "payment_success_rate"], time_range(name, NOW))


def test_there_is_one_mark() -> None:
    for minutes in (9, 5, 1):
        rollups.roll_up(NOW - minutes * MINUTE)
    assert RollupMark.objects.count() == 1
    assert not MetricRollup.objects.exists()


def test_the_latest_errors_have_an_index_of_their_own() -> None:
    for minutes in range(50):
        row(NOW - minutes * MINUTE, 100.0 if minutes == 49 else 0.0, "error_rate")
    latest = Metric.objects.filter(
        metric_type="error_rate", value__gt=0, timestamp__gte=NOW - DAY, timestamp__lt=NOW
    ).order_by("-timestamp", "-pk")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SET LOCAL enable_seqscan = off"
            )  # PostgreSQL would scan a table of fifty rows
        cursor.execute("ANALYZE")
    assert [metric.timestamp for metric in latest] == [NOW - 49 * MINUTE]
    assert "metric_errors" in latest.explain()
