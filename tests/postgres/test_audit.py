"""Audits during open transactions: nothing is missed, and nothing waits for them."""

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import Product, StockMovement
from products.services import stock_release
from retail.db.reads import settled_before
from tests.audits import OWN, checkpoint_of, on_own_connection, open_violations
from tests.support import make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db(transaction=True)

Reason = StockMovement.Reason
PAID, MOVED = "confirmed_sale_is_paid_once", "movement_has_order"


def test_a_movement_committed_late_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = make_product("Lamp", stock=10)
    begin, done = threading.Event(), threading.Event()
    written: list[int] = []

    def sell_slowly() -> None:
        try:
            with transaction.atomic():
                written.append(
                    StockMovement.objects.create(product=lamp, quantity=-3, reason=Reason.SALE).pk
                )
                begin.set()
                assert done.wait(120)
        finally:
            connections.close_all()

    slow = threading.Thread(target=sell_slowly)
    slow.start()
    try:
        assert begin.wait(120)
        stock_release(quantities={lamp.pk: 1}, reference="VT-1")  # committed before, a higher id
        later = StockMovement.objects.get(reference="VT-1")
        hour = timezone.now() + timedelta(hours=1)
        monkeypatch.setattr(timezone, "now", lambda: hour)
        assert set(open_violations(MOVED)) == {str(later.pk)}
        assert checkpoint_of(MOVED) < written[0] < later.pk
    finally:
        done.set()
        slow.join()
    assert set(open_violations(MOVED)) == {str(written[0]), str(later.pk)}
    assert checkpoint_of(MOVED) == later.pk


def test_audits_and_sales_do_not_wait_for_each_other() -> None:
    lamp = make_product("Lamp", stock=10)
    sale, payment = reserve(order_for(make_buyer(), lamp), "key")
    assert payment_settle(payment=payment, answer=Answer.DECLINED)
    statements: list[str] = []

    def listen(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    def audit() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 2000")
        with connection.execute_wrapper(listen):
            for name in OWN:
                assert open_violations(name) == open_violations(name, full=True) == {}

    with transaction.atomic():
        for model in (Product, StockMovement, Sale, SaleItem, Payment):
            assert list(model.objects.select_for_update())
        on_own_connection(audit)
    reads = [sql for sql in statements if "products_" in sql or "orders_" in sql]
    assert len(reads) > len(OWN)
    assert {sql.split()[0] for sql in reads} == {"SELECT"}
    assert not any(" FOR " in sql for sql in reads)
    assert sale.items.count() == 1


def make_sale(number: int) -> Sale:
    """Create a confirmed sale without a payment."""
    return Sale.objects.create(
        user=make_buyer(f"buyer{number}"),
        status=Sale.Status.CONFIRMED,
        total=10,
        currency="EUR",
        idempotency_key=uuid.uuid4(),
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
    )


def test_a_sale_committed_late_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Sale] = []
    begin, done = threading.Event(), threading.Event()

    def sell_slowly() -> None:
        try:
            with transaction.atomic():
                written.append(make_sale(0))
                begin.set()
                assert done.wait(120)
        finally:
            connections.close_all()

    slow = threading.Thread(target=sell_slowly)
    slow.start()
    try:
        assert begin.wait(120)
        later = [make_sale(number) for number in (1, 2)]
        hour = timezone.now() + timedelta(hours=1)
        monkeypatch.setattr(timezone, "now", lambda: hour)
        assert set(open_violations(PAID)) == {sale.reference for sale in later}
        assert checkpoint_of(PAID) < written[0].pk < later[0].pk
    finally:
        done.set()
        slow.join()
    assert set(open_violations(PAID)) == {sale.reference for sale in (*written, *later)}
    assert checkpoint_of(PAID) == later[1].pk


def test_rows_are_settled_up_to_the_oldest_open_writing_transaction() -> None:
    before = timezone.now()
    assert settled_before() >= before - timedelta(minutes=5)
    with transaction.atomic():
        make_product()
        begun = timezone.now()
        times: list[Any] = []
        on_own_connection(lambda: times.append(settled_before()))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.05)")
        on_own_connection(lambda: times.append(settled_before()))
    assert times[0] == times[1] < begun - timedelta(minutes=5)
    assert settled_before() > begun - timedelta(minutes=5)
