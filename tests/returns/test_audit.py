"""Records of returns and refunds broken by plain SQL: each invariant names the broken row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.utils import timezone

from orders.models import Payment, Sale
from products.models import HeldStock, Product, StockMovement
from retail.thresholds import THRESHOLDS
from returns.models import Refund, Return, ReturnItem
from returns.refunds import refund_request
from returns.services import order_cancel, return_refund
from tests.audits import open_violations
from tests.returns.conftest import ask, work

if TYPE_CHECKING:
    from tests.returns.gateway import FakeGateway

pytestmark = pytest.mark.django_db
D = Decimal
BOOKS = (
    "refunds_match_reserved",
    "returned_within_sold",
    "restocked_as_received",
    "refund_within_deadline",
)


def execute(sql: str, *values: object) -> None:
    """Break a row, also where a constraint forbids it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        else:
            cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql, values)
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def violations() -> dict[str, dict[str, str]]:
    found = {name: open_violations(name) for name in BOOKS}
    return {name: rows for name, rows in found.items() if rows}


def test_books_that_agree(
    sent: Sale, arrived: Callable[..., Return], bank: FakeGateway, lamp: Product
) -> None:
    return_refund(of_return=arrived(1, 1), amount=D(20), user_id=None)
    ask(sent, 1)
    work()
    now = timezone.now()
    Product.objects.update(
        flash_price=1, flash_starts_at=now, flash_ends_at=now + timedelta(hours=1)
    )
    payment = Payment.objects.get(sale=sent)
    bank.behaviour = "fails"
    refund_request(payment=payment, amount=D(5), reason="goodwill")
    work()
    assert lamp.pk
    assert violations() == {}


@pytest.mark.parametrize("reserved", ["0.00", "19.99", "20.01"])
def test_reserved_is_not_the_sum(arrived: Callable[..., Return], reserved: str) -> None:
    return_refund(of_return=arrived(2), amount=D(20), user_id=None)
    key = Payment.objects.get().key
    execute("UPDATE orders_payment SET refund_reserved = %s", reserved)
    detail = f"{reserved} of 30.00 reserved, refunds sum to 20.00"
    assert violations() == {"refunds_match_reserved": {key: detail}}


def test_a_refund_without_its_reservation(sale: Sale) -> None:
    refund = refund_request(payment=Payment.objects.get(sale=sale), amount=D(3), reason="goodwill")
    execute("UPDATE returns_refund SET amount = 30.5 WHERE id = %s", refund.pk)
    execute("UPDATE orders_payment SET refund_reserved = 30.5")
    key = Payment.objects.get().key
    detail = "30.50 of 30.00 reserved, refunds sum to 30.50"
    assert violations() == {"refunds_match_reserved": {key: detail}}


def test_more_units_in_returns_than_sold(sent: Sale, lamp: Product) -> None:
    ask(sent, 2)
    item = ask(sent, 1).items.get()
    execute("UPDATE returns_returnitem SET requested = 2 WHERE id = %s", item.pk)
    detail = f"product {lamp.pk}: 4 in returns, 3 sold"
    assert violations() == {"returned_within_sold": {f"{sent.reference}/{lamp.pk}": detail}}


@pytest.mark.parametrize(
    ("sql", "detail"),
    [
        ("UPDATE products_stockmovement SET quantity = 2 WHERE reason = 'return'", (1, 1, 4, 1)),
        ("DELETE FROM products_stockmovement WHERE reason = 'loss'", (1, 1, 2, 0)),
        ("UPDATE returns_returnitem SET sellable = 0, damaged = 2", (0, 2, 2, 1)),
        ("DELETE FROM products_stockmovement WHERE reason IN ('loss', 'return')", (1, 1, 0, 0)),
    ],
)
def test_stock_that_came_back_otherwise(
    arrived: Callable[..., Return], lamp: Product, sql: str, detail: tuple[int, ...]
) -> None:
    of_return = arrived(1, 1)
    execute(sql)
    words = "product {}: {} sellable, {} damaged or lost; {} came in, {} written off"
    assert violations() == {
        "restocked_as_received": {
            f"{of_return.reference}/{lamp.pk}": words.format(lamp.pk, *detail)
        }
    }


def test_units_that_came_back_without_a_return(lamp: Product) -> None:
    StockMovement.objects.create(product=lamp, quantity=1, reason="return", reference="RT-NONE")
    HeldStock.objects.create(product=lamp, quantity=1, reason="return", reference="RT-HELD")
    assert set(violations()["restocked_as_received"]) == {
        f"RT-NONE/{lamp.pk}",
        f"RT-HELD/{lamp.pk}",
    }


def test_refunds_beyond_their_deadline(sale: Sale, bank: FakeGateway) -> None:
    payment = Payment.objects.get(sale=sale)
    bank.behaviour = "pending"
    pending = refund_request(payment=payment, amount=D(1), reason="goodwill")
    work()
    waiting = refund_request(payment=payment, amount=D(2), reason="goodwill")
    limits = THRESHOLDS.refunds
    now = timezone.now()
    late = now - timedelta(seconds=limits.most_age_seconds + 60)
    Refund.objects.update(created_at=late)
    assert set(violations()["refund_within_deadline"]) == {waiting.reference}
    Refund.objects.update(created_at=now - timedelta(seconds=limits.pending_most_age_seconds + 60))
    assert set(violations()["refund_within_deadline"]) == {waiting.reference, pending.reference}


def test_a_cancelled_order_agrees(sale: Sale, bank: FakeGateway) -> None:
    order_cancel(sale=sale, user_id=None)
    work()
    assert bank.paid(Payment.objects.get(sale=sale).key) == D(30)
    assert ReturnItem.objects.count() == 0
    assert violations() == {}
