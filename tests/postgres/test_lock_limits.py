"""A row that somebody else holds ends a checkout: nothing is lost, and all is returned."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import InternalError, OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from orders import services
from orders.models import Payment, Sale
from orders.recovery import settle_due
from orders.reservation import reserve
from orders.settlement import charge
from payments import breaker
from payments.gateway import Answer
from payments.models import CircuitBreaker
from products.models import Product
from retail.web.problems import ProblemMiddleware
from tests.orders.state import assert_nothing_reserved, cart_of, stock_of
from tests.postgres.interleaving import Participant, before_commit
from tests.support import ScriptedGateway, ledger, make_product, order_for, order_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 200")
    yield
    connection.close()


def holder(product: Product) -> Participant:
    """Return a started participant that holds the product's row."""
    holding = before_commit(
        lambda: list(Product.objects.select_for_update().filter(pk=product.pk)), commits=False
    )
    holding.start()
    holding.wait_until_paused()
    return holding


def probe_due() -> None:
    """Open the breaker; its rest is over."""
    breaker.acquire("creates the row")
    long_ago = timezone.now() - timedelta(hours=1)
    CircuitBreaker.objects.update(state="open", failures=5, opened_at=long_ago)


@pytest.mark.usefixtures("reserve_path")
def test_a_reservation_that_gets_no_lock_returns_permit_cart_and_stock(
    anna: User, scripted_gateway: ScriptedGateway
) -> None:
    lamp, form = make_product("Lamp", "10.00", 5), uuid.uuid4()
    order_for(anna, lamp, 2)
    probe_due()
    holding = holder(lamp)
    try:
        with pytest.raises(OperationalError, match="lock timeout"):
            services.sale_checkout(order=order_of(anna, key=form))
    finally:
        holding.resume()
    assert_nothing_reserved(lamp, anna, 2)
    assert scripted_gateway.charged == []
    assert CircuitBreaker.objects.get().probe == ""
    sale = services.sale_checkout(order=order_of(anna, key=form))  # the probe, and the same form
    assert (sale.status, stock_of(lamp), breaker.is_closed()) == ("CONFIRMED", 3, True)


def test_a_settlement_that_gets_no_lock_is_done_again_by_the_worker(
    anna: User, scripted_gateway: ScriptedGateway
) -> None:
    lamp = make_product("Lamp", "10.00", 5)
    sale, payment = reserve(order_for(anna, lamp, 2), "key")
    scripted_gateway.answers = [Answer.DECLINED]
    holding = holder(lamp)
    try:
        with pytest.raises(OperationalError, match="lock timeout"):
            charge(payment, breaker.acquire("key"), first=True)
    finally:
        holding.resume()
    assert (Payment.objects.get().status, Sale.objects.get().status) == ("PENDING", "PENDING")
    assert (stock_of(lamp), cart_of(anna)) == (3, {})
    Payment.objects.update(due_at=timezone.now())
    assert settle_due() == 1
    assert (Payment.objects.get().status, Sale.objects.get().status) == ("FAILED", "FAILED")
    assert ledger(lamp) == [(-2, "sale", sale.reference), (2, "release", sale.reference)]
    assert cart_of(anna) == {lamp.pk: 2}
    assert {sent.key for sent in scripted_gateway.charged} == {"key"}


@pytest.mark.parametrize("limit", ["idle_in_transaction_session_timeout", "statement_timeout"])
def test_a_transaction_that_the_server_ends_is_answered_with_try_again(limit: str) -> None:
    raised: list[Exception] = []

    def view(_request: HttpRequest) -> HttpResponse:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET {limit} = 50")
                if limit == "statement_timeout":
                    cursor.execute("SELECT pg_sleep(60)")
                else:
                    time.sleep(0.5)
                    cursor.execute("SELECT 1")
        except (InternalError, OperationalError) as error:
            raised.append(error)
            raise
        return HttpResponse()

    answer = ProblemMiddleware(view)(HttpRequest())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert len(raised) == 1
