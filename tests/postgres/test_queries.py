"""The queries that a checkout makes on PostgreSQL."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders import recovery
from orders.models import Payment, new_payment_key
from orders.reservation import reserve
from orders.settlement import payment_mark_unknown, payment_settle
from payments import breaker
from payments.gateway import Answer, NoAnswerError
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

AUTHENTICATE = ["EXECUTE session"]
BUY = ["EXECUTE to_buy", "EXECUTE reserve"]
SETTLE = ["BEGIN", "UPDATE orders_payment", "UPDATE orders_sale", "INSERT retail_email", "COMMIT"]


@pytest.fixture
def buyer() -> User:
    breaker.is_closed()  # creates the row
    return make_buyer()


def summary(captured: CaptureQueriesContext) -> list[str]:
    """Return each statement's verb and first table, or the name of a prepared statement."""
    lines = []
    for query in captured.captured_queries:
        verb = query["sql"].split()[0].rstrip(";")
        tables = re.findall(r'(?:FROM|INTO|UPDATE|EXECUTE)\s+"?([a-z]+[a-z_]+)', query["sql"])
        if verb != "PREPARE":  # once per connection
            lines.append(" ".join([verb, *tables[:1]]))
    return lines


def buy(client: Client, buyer: User, token: str = "tok_good") -> tuple[int, list[str]]:
    """Order the cart; return the status and a summary of the queries."""
    client.force_login(buyer)
    form = {
        "delivery_name": "Bea Buyer",
        "delivery_address": "1 Example Street",
        "payment_token": token,
        "idempotency_key": "7f2b8a3e-5c1d-4e6f-8a9b-0c1d2e3f4a5b",
        "lines_shown": fingerprint(cart_lines(CartItem.objects.filter(cart__user=buyer))),
    }
    with CaptureQueriesContext(connection) as captured:
        answer = client.post("/checkout/", form)
    return answer.status_code, summary(captured)


def test_queries_of_a_checkout(
    client: Client, buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, make_product("One"))
    order_for(buyer, make_product("Two"))
    assert buy(client, buyer) == (302, [*AUTHENTICATE, *BUY, *SETTLE])


def test_queries_of_a_flash_sale_checkout(client: Client, buyer: User) -> None:
    now = timezone.now()
    flash = make_product(
        flash_price="7.00",
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )
    order_for(buyer, flash)
    assert buy(client, buyer) == (302, [*AUTHENTICATE, *BUY])


def test_queries_of_a_sold_out_refusal(client: Client, buyer: User) -> None:
    order_for(buyer, make_product(stock=1), 2)
    assert buy(client, buyer) == (409, [*AUTHENTICATE, *BUY[:1]])


def test_queries_of_a_refusal_by_the_open_breaker(
    client: Client, buyer: User, settings: Settings
) -> None:
    settings.BREAKER_RESET_SECONDS = 3600
    order_for(buyer, make_product())
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert buy(client, buyer) == (503, [*AUTHENTICATE, *BUY[:1]])


@pytest.fixture
def pending(buyer: User) -> Payment:
    """Return one of two pending payments, among thousands of settled ones."""
    order = order_for(buyer, make_product("Old"))
    payment_settle(payment=reserve(order, new_payment_key())[1], answer=Answer.APPROVED)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_payment (sale_id, key, token, amount, currency, status,"
            " failure_reason, created_at, due_at) SELECT sale_id, 'old' || n, token, amount,"
            " currency, 'FAILED', '', created_at, due_at FROM orders_payment,"
            " generate_series(1, 3000) n"
        )
        cursor.execute("ANALYZE orders_payment")
    reserve(order_for(make_buyer("other"), make_product("Other")), new_payment_key())
    return reserve(order_for(buyer, make_product("New")), new_payment_key())[1]


def settle(payment: Payment) -> None:
    payment_settle(payment=payment, answer=Answer.APPROVED)


def mark_unknown(payment: Payment) -> None:
    payment_mark_unknown(payment=payment)


def retry(payment: Payment) -> None:
    recovery.finish(payment)


@pytest.mark.parametrize("action", [settle, mark_unknown, retry])
def test_a_payment_is_updated_by_primary_key_however_many_are_pending(
    pending: Payment, scripted_gateway: ScriptedGateway, action: Callable[[Payment], None]
) -> None:
    scripted_gateway.answers = [NoAnswerError()] * 2
    with CaptureQueriesContext(connection) as captured:
        action(pending)
    statements = [query["sql"] for query in captured]
    updates = [sql for sql in statements if sql.startswith('UPDATE "orders_payment"')]
    assert updates
    with connection.cursor() as cursor:
        for update in updates:
            cursor.execute(f"EXPLAIN {update}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "orders_payment_pkey" in plan
            assert "payment_due" not in plan
