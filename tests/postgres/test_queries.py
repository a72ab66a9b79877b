"""What a checkout asks of PostgreSQL: nothing that could be avoided."""

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

WHO = ["EXECUTE session"]
BUY = ["EXECUTE to_buy", "EXECUTE reserve"]
SETTLE = ["BEGIN", "UPDATE orders_payment", "UPDATE orders_sale", "INSERT django_q_ormq", "COMMIT"]


@pytest.fixture
def buyer() -> User:
    breaker.is_closed()  # the first to ask makes its row
    return make_buyer()


def asked(captured: CaptureQueriesContext) -> list[str]:
    """Return each statement's verb, and its own name or its first table."""
    said = []
    for query in captured.captured_queries:
        verb = query["sql"].split()[0].rstrip(";")
        tables = re.findall(r'(?:FROM|INTO|UPDATE|EXECUTE)\s+"?([a-z]+[a-z_]+)', query["sql"])
        if verb != "PREPARE":  # once a connection
            said.append(" ".join([verb, *tables[:1]]))
    return said


def buy(client: Client, buyer: User, token: str = "tok_good") -> tuple[int, list[str]]:
    """Order what is in the cart; return the status and what was asked of the database."""
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
    return answer.status_code, asked(captured)


def test_a_checkout_of_the_cart(
    client: Client, buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, make_product("One"))
    order_for(buyer, make_product("Two"))
    assert buy(client, buyer) == (302, [*WHO, *BUY, *SETTLE])


def test_a_checkout_of_a_flash_sale(client: Client, buyer: User) -> None:
    now = timezone.now()
    flash = make_product(
        flash_price="7.00",
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )
    order_for(buyer, flash)
    assert buy(client, buyer) == (302, [*WHO, *BUY])


def test_a_refusal_because_it_is_sold_out(client: Client, buyer: User) -> None:
    order_for(buyer, make_product(stock=1), 2)
    assert buy(client, buyer) == (409, [*WHO, *BUY[:1]])


def test_a_refusal_because_the_breaker_is_open(
    client: Client, buyer: User, settings: Settings
) -> None:
    settings.BREAKER_RESET_SECONDS = 3600
    order_for(buyer, make_product())
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    assert buy(client, buyer) == (503, [*WHO, *BUY[:1]])


@pytest.fixture
def pending(buyer: User) -> Payment:
    """Return one of two pending payments, in a shop that so far had only settled ones."""
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


def give_up(payment: Payment) -> None:
    payment_mark_unknown(payment=payment)


def try_again(payment: Payment) -> None:
    recovery.finish(payment)


@pytest.mark.parametrize("deed", [settle, give_up, try_again])
def test_one_payment_is_found_by_its_id_however_many_are_pending(
    pending: Payment, scripted_gateway: ScriptedGateway, deed: Callable[[Payment], None]
) -> None:
    scripted_gateway.answers = [NoAnswerError()] * 2
    with CaptureQueriesContext(connection) as captured:
        deed(pending)
    updates = [one["sql"] for one in captured if one["sql"].startswith('UPDATE "orders_payment"')]
    assert updates
    with connection.cursor() as cursor:
        for update in updates:
            cursor.execute(f"EXPLAIN {update}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "orders_payment_pkey" in plan
            assert "payment_due" not in plan
