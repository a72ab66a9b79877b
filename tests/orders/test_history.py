"""History of orders and payments matches the tables, to the cent."""

import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from orders.history import ORDERS, PAYMENTS, confirmed_orders, settled_payments
from orders.models import Payment, Sale
from orders.services import sale_checkout
from payments.gateway import Answer
from products.models import Product
from retail.history import rollups
from retail.history.points import Point
from retail.history.read import RANGES, history, merged, time_range
from retail.history.rollups import DAY, HOUR, MINUTE
from retail.models import Metric
from tests.support import ScriptedGateway, order_for

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)


def sale(user: User, at: datetime | None, **changes: Any) -> Sale:
    status = "CONFIRMED" if at else "PENDING"
    fields = {"status": status, "total": Decimal("10.10"), "currency": "EUR", **changes}
    return Sale.objects.create(user=user, idempotency_key=uuid.uuid4(), finished_at=at, **fields)


def payment(of: Sale, at: datetime | None, status: str, reason: str = "") -> None:
    Payment.objects.create(
        sale=of,
        token="tok_good",
        amount=of.total,
        currency=of.currency,
        status=status,
        failure_reason=reason,
        settled_at=at,
        due_at=NOON,
    )


def test_orders_are_summed_by_step_kind_and_currency(buyer: User) -> None:
    sale(buyer, NOON - MOMENT)
    sale(buyer, NOON, total=Decimal("0.10"))
    sale(buyer, NOON + HOUR - MOMENT, total=Decimal("0.20"), kind="flash")
    sale(buyer, NOON + MINUTE, total=Decimal("9999999999.99"), currency="USD")
    sale(buyer, NOON + HOUR, total=Decimal("7.00"))
    sale(buyer, NOON + 2 * HOUR)
    sale(buyer, NOON, status="FAILED")
    sale(buyer, NOON, status="CANCELLED")
    sale(buyer, None)
    assert sorted(confirmed_orders(NOON, NOON + 2 * HOUR, HOUR), key=lambda point: point.start) == [
        Point(
            NOON,
            3,
            3.0,
            1.0,
            1.0,
            {
                "revenue": {"EUR": "0.30", "USD": "9999999999.99"},
                "kinds": {"cart": 2, "flash": 1},
            },
        ),
        Point(NOON + HOUR, 1, 1.0, 1.0, 1.0, {"revenue": {"EUR": "7.00"}, "kinds": {"cart": 1}}),
    ]
    assert ORDERS.earliest() == NOON - MOMENT


def test_settled_payments_are_summed_by_step_outcome_and_reason(buyer: User) -> None:
    order = sale(buyer, NOON)
    payment(order, NOON, "COMPLETED")
    payment(order, NOON + MINUTE, "FAILED", "declined")
    payment(order, NOON + DAY / 4, "FAILED", "declined")
    payment(order, NOON + DAY / 3, "FAILED", "rejected")
    payment(order, NOON + DAY / 2, "FAILED", "cancelled")  # the next day
    payment(order, NOON - MOMENT, "FAILED", "cancelled")
    payment(order, None, "UNKNOWN")
    payment(order, None, "PENDING")
    day = datetime(2026, 11, 22, tzinfo=UTC)
    assert sorted(settled_payments(NOON, NOON + DAY, DAY), key=lambda point: point.start) == [
        Point(
            day,
            4,
            100.0,
            0.0,
            100.0,
            {"completed": 1, "failed": 3, "reasons": {"declined": 2, "rejected": 1}},
        ),
        Point(
            day + DAY, 1, 0.0, 0.0, 0.0, {"completed": 0, "failed": 1, "reasons": {"cancelled": 1}}
        ),
    ]
    assert PAYMENTS.earliest() == NOON - MOMENT


@pytest.mark.parametrize("source", [ORDERS, PAYMENTS])
def test_steps_start_in_utc_whatever_the_time_zone(
    source: rollups.Source, buyer: User, settings: Settings
) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    with timezone.override("Asia/Kolkata"):
        payment(sale(buyer, NOON), NOON, "COMPLETED")
        for step, start in [(HOUR, NOON), (DAY, datetime(2026, 11, 22, tzinfo=UTC))]:
            (point,) = source.points(NOON - DAY, NOON + DAY, step)
            assert (point.start, point.start.utcoffset()) == (start, timedelta(0))


def test_empty_tables_have_no_points() -> None:
    for source in (ORDERS, PAYMENTS):
        assert source.points(NOON, NOON + DAY, MINUTE) == []
        assert source.earliest() is None


@pytest.mark.parametrize("source", [ORDERS, PAYMENTS])
@pytest.mark.parametrize("step", [MINUTE, HOUR, DAY])
def test_points_take_one_query_that_uses_the_index(
    source: rollups.Source,
    step: timedelta,
    buyer: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for minutes in range(5):
        payment(sale(buyer, NOON + minutes * HOUR), NOON + minutes * HOUR, "COMPLETED")
    with django_assert_num_queries(1) as queries:
        assert sum(point.count for point in source.points(NOON, NOON + DAY, step)) == 5
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # it would scan a table of five rows
            cursor.execute("EXPLAIN " + query["sql"])
        else:
            cursor.execute("EXPLAIN QUERY PLAN " + query["sql"])
        plan = str(cursor.fetchall())
    index = "sale_confirmed" if source is ORDERS else "payment_settled"
    assert index in plan


@pytest.mark.parametrize("name", RANGES)
def test_every_range_matches_the_tables(name: str, buyer: User) -> None:
    random = Random(name)  # noqa: S311 - not for security
    span = time_range(name, NOON + 20.5 * MINUTE)
    length = 1.2 * (span.until - span.since)
    kinds = ("orders_per_day", "payment_success_rate")
    for _ in range(150):
        at = span.until - random.random() * length
        good = random.random() < 0.7
        total = Decimal(random.randint(0, 99_999)) / 100
        order = sale(buyer, at, status="CONFIRMED" if good else "FAILED", total=total)
        payment(order, at, *(("COMPLETED", "") if good else ("FAILED", "declined")))
    for minutes in (random.randint(400, 5000), random.randint(2, 90)):
        rollups.roll_up(span.until - minutes * MINUTE)
    points = history(kinds, span)

    orders: dict[datetime, int] = defaultdict(int)
    money: dict[datetime, Decimal] = defaultdict(Decimal)
    for confirmed in Sale.objects.filter(status="CONFIRMED", finished_at__gte=span.since):
        assert confirmed.finished_at is not None
        start = max(start for start in span.starts if start <= confirmed.finished_at)
        orders[start] += 1
        money[start] += confirmed.total
    assert {point.start: point.count for point in points[kinds[0]]} == orders
    assert {point.start: point.aggregates["revenue"] for point in points[kinds[0]]} == {
        start: {"EUR": str(total)} for start, total in money.items()
    }
    whole = merged(points[kinds[1]])
    assert whole is not None
    settled = Payment.objects.filter(settled_at__gte=span.since)
    failed = settled.filter(status="FAILED").count()
    assert failed > 0
    completed = settled.filter(status="COMPLETED").count()
    assert whole.aggregates == {
        "completed": completed,
        "failed": failed,
        "reasons": {"declined": failed},
    }
    assert whole.average == pytest.approx(100 * completed / (completed + failed))


def test_orders_are_counted_even_if_their_metric_rows_were_lost(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.APPROVED, Answer.DECLINED]
    for quantity in (2, 1):
        sale_checkout(order=order_for(buyer, lamp, quantity))
    assert not Metric.objects.exists()  # never flushed: the process was killed
    confirmed = Sale.objects.get(status="CONFIRMED")
    assert confirmed.finished_at is not None
    now = confirmed.finished_at + HOUR
    for _ in range(2):  # first from the tables, then from the rollups
        points = history(["orders_per_day", "payment_success_rate"], time_range("24h", now))
        (orders,), (payments,) = points.values()
        assert orders.aggregates == {"revenue": {"EUR": "20.00"}, "kinds": {"cart": 1}}
        assert payments.aggregates == {"completed": 1, "failed": 1, "reasons": {"declined": 1}}
        rollups.roll_up(now)
