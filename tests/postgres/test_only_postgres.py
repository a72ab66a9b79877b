"""Behaviour that only PostgreSQL has."""

import threading
import uuid
from datetime import UTC, datetime

import pytest
from django.core.signals import request_started
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from orders.models import Payment
from orders.recovery import claim
from orders.reservation import reserve
from products.models import Product
from retail.db.reads import bounded_read
from retail.history import rollups
from retail.models import Metric
from retail.observability.rows.recorder import Row
from tests.running.support import wait_until
from tests.support import make_buyer, make_product, moved, order_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_slow_read_is_cancelled_and_the_connection_stays_usable() -> None:
    with (
        pytest.raises(OperationalError, match="statement timeout"),
        bounded_read(0.05),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(60)")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("1h",)


def test_an_invalid_row_does_not_block_the_others() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [Row("stock_conflicts", number, '{"text":"ok"}', now) for number in range(3)]
    rows.insert(1, Row("stock_conflicts", 9, r'{"text":"a\u0000b"}', now))
    with moved() as changes:
        rollups.write_rows(rows)
    assert changes == {"retail_metric_rows_dropped_total": 1}
    assert sorted(Metric.objects.values_list("value", flat=True)) == [0, 1, 2]


def test_a_payment_locked_by_another_worker_is_skipped_without_waiting() -> None:
    buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 10)
    payments = [reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1] for _ in range(3)]
    now = timezone.now()
    Payment.objects.update(due_at=now)
    holding, done = threading.Event(), threading.Event()

    def lock() -> None:
        try:
            with transaction.atomic():
                Payment.objects.select_for_update().get(pk=payments[0].pk)
                holding.set()
                done.wait(120)
        finally:
            connections.close_all()

    other = threading.Thread(target=lock)
    other.start()
    assert holding.wait(120)
    try:
        claimed = {payment.pk for payment in claim(now)}
    finally:
        done.set()
        other.join()
    assert claimed == {payment.pk for payment in payments[1:]}


def test_a_connection_closed_by_the_server_is_replaced_before_use() -> None:
    connection.ensure_connection()
    assert connection.is_usable()
    kept = connection.connection
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [kept.info.backend_pid])
    other.close()
    wait_until(lambda: not connection.is_usable(), "the closed socket")
    request_started.send(sender=None)
    assert Product.objects.count() == 0
    assert connection.connection is not kept
