"""History of refunds matches the table, to the cent, also after a refund that failed later."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.utils import timezone

from retail.history import rollups
from retail.history.points import Point
from retail.history.read import RANGES, history, time_range, total
from retail.history.rollups import DAY, HOUR, MINUTE
from retail.models import Metric, MetricRollup
from returns.history import REFUNDS, paid_refunds
from returns.models import Refund
from tests.returns.rows import make_paid, make_refund

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import DjangoAssertNumQueries, Settings

pytestmark = pytest.mark.django_db

KIND = "refunds_per_day"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def paid(user: User, at: datetime, amount: str = "10.00", currency: str = "EUR") -> Refund:
    payment = make_paid(user, currency=currency)
    return make_refund(payment, "SUCCEEDED", settled_at=at, amount=Decimal(amount))


def test_refunds_paid_out_are_summed_by_step_and_currency(buyer: User) -> None:
    paid(buyer, NOON - MOMENT)
    paid(buyer, NOON, "0.10")
    paid(buyer, NOON + HOUR - MOMENT, "0.20")
    paid(buyer, NOON + MINUTE, "9999999999.99", "USD")
    paid(buyer, NOON + HOUR, "7.00")
    paid(buyer, NOON + 2 * HOUR)
    for status in ("REQUESTED", "UNKNOWN", "PENDING", "NEEDS_HUMAN", "FAILED", "CANCELLED"):
        make_refund(make_paid(buyer), status)
    make_refund(make_paid(buyer), "FAILED", settled_at=NOON)  # paid otherwise
    points = sorted(paid_refunds(NOON, NOON + 2 * HOUR, HOUR), key=lambda point: point.start)
    assert points == [
        Point(NOON, 3, 3.0, 1.0, 1.0, {"amount": {"EUR": "0.30", "USD": "9999999999.99"}}),
        Point(NOON + HOUR, 1, 1.0, 1.0, 1.0, {"amount": {"EUR": "7.00"}}),
    ]
    assert REFUNDS.earliest() == NOON - MOMENT


def test_steps_start_in_utc_whatever_the_time_zone(buyer: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    with timezone.override("Asia/Kolkata"):
        paid(buyer, NOON)
        for step, start in [(HOUR, NOON), (DAY, datetime(2026, 11, 22, tzinfo=UTC))]:
            (point,) = REFUNDS.points(NOON - DAY, NOON + DAY, step)
            assert (point.start, point.start.utcoffset()) == (start, timedelta(0))


@pytest.mark.parametrize("step", [MINUTE, HOUR, DAY])
def test_points_take_one_query_that_uses_the_index(
    step: timedelta, buyer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for hours in range(5):
        paid(buyer, NOON + hours * HOUR)
    with django_assert_num_queries(1) as queries:
        assert sum(point.count for point in REFUNDS.points(NOON, NOON + DAY, step)) == 5
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # it would scan a table of five rows
            cursor.execute("EXPLAIN " + query["sql"])
        else:
            cursor.execute("EXPLAIN QUERY PLAN " + query["sql"])
        plan = str(cursor.fetchall())
    assert "refund_paid" in plan


@pytest.mark.parametrize("name", RANGES)
def test_every_range_matches_the_table(name: str, buyer: User) -> None:
    random = Random(name)  # noqa: S311 - not for security
    span = time_range(name, NOON + 20.5 * MINUTE)
    length = 1.2 * (span.until - span.since)
    for _ in range(60):
        at = span.until - random.random() * length
        paid(buyer, at, str(Decimal(random.randint(1, 99_999)) / 100))
    rollups.roll_up(span.until - random.randint(2, 90) * MINUTE)
    late = Refund.objects.filter(settled_at__gte=span.since).first()
    assert late is not None
    Refund.objects.filter(pk=late.pk).update(status="FAILED", settled_at=None)

    counts: dict[datetime, int] = defaultdict(int)
    money: dict[datetime, Decimal] = defaultdict(Decimal)
    for refund in Refund.objects.filter(status="SUCCEEDED", settled_at__gte=span.since):
        assert refund.settled_at is not None
        start = max(start for start in span.starts if start <= refund.settled_at)
        counts[start] += 1
        money[start] += refund.amount
    points = history([KIND], span)[KIND]
    assert {point.start: point.count for point in points} == counts
    assert {point.start: point.aggregates["amount"]["EUR"] for point in points} == {
        start: str(amount.quantize(Decimal("0.01"))) for start, amount in money.items()
    }
    assert [point.start for point in points] == sorted(counts)
    assert total([KIND], span)[KIND].count == sum(counts.values()) > 0


@pytest.mark.parametrize("days", [0.01, 3, 60])
def test_a_refund_that_fails_later_leaves_the_figure_of_its_day(buyer: User, days: float) -> None:
    """Also if it was the only one, and its time was rolled up long ago."""
    only = paid(buyer, NOON - timedelta(days=days))
    span = time_range("90d", NOON)
    rollups.roll_up(NOON)
    assert total([KIND], span)[KIND].count == 1
    Refund.objects.filter(pk=only.pk).update(status="FAILED", settled_at=None)
    for _ in range(2):
        assert history([KIND], span) == {KIND: []}
        assert total([KIND], span) == {}
        rollups.roll_up(NOON + HOUR)


def test_rows_of_metrics_and_their_old_rollups_change_no_figure(buyer: User) -> None:
    Metric.objects.create(metric_type=KIND, value=1, timestamp=NOON - DAY)
    MetricRollup.objects.create(
        metric_type=KIND, period="day", start=NOON.replace(hour=0) - DAY, count=7, total=7,
        minimum=1, maximum=1,
    )  # fmt: skip
    paid(buyer, NOON - DAY, "5.00")
    rollups.roll_up(NOON)
    points = history([KIND], time_range("30d", NOON))[KIND]
    assert [(point.count, point.aggregates) for point in points] == [
        (1, {"amount": {"EUR": "5.00"}})
    ]
    assert MetricRollup.objects.filter(metric_type=KIND).count() == 1
