import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from cart.models import CartItem
from orders import services
from orders.models import Payment, Sale, SaleItem, new_payment_key
from orders.recovery import settle_payments
from orders.reservation import reserve
from payments import breaker
from payments.gateway import Answer, GatewayTimeoutError, NoAnswerError
from payments.services import BreakerOpenError
from products.models import Product
from products.services import SoldOutError
from retail.models import Email
from retail.observability.context import request_context
from retail.throttling import ThrottledError
from tests.orders.state import assert_nothing_reserved, cart_of, rows, stock_of
from tests.support import (
    ScriptedGateway,
    ledger,
    make_buyer,
    make_product,
    moved,
    order_for,
    order_of,
)

pytestmark = pytest.mark.django_db(transaction=True)

CONFIRMED = {
    'retail_orders_total{outcome="confirmed"}': 1,
    'retail_order_revenue_total{currency="EUR"}': 20,
    'retail_checkout_duration_seconds_count{kind="cart",outcome="confirmed"}': 1,
    'retail_payments_total{outcome="completed"}': 1,
    'retail_payment_attempts_total{outcome="approved"}': 1,
    'retail_payment_duration_seconds_count{outcome="approved"}': 1,
    "retail_emails_waiting": 1,
}


def test_an_approved_order_is_confirmed_and_changes_exactly_what_it_should(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    with moved() as changes:
        sale = services.sale_checkout(order=order_for(buyer, lamp, 2))
    assert changes == CONFIRMED
    assert (sale.status, sale.kind, sale.total, sale.currency) == (
        "CONFIRMED",
        "cart",
        Decimal("20.00"),
        "EUR",
    )
    payment = Payment.objects.get()
    assert (payment.sale_id, payment.status, payment.amount, payment.currency, payment.token) == (
        sale.pk,
        "COMPLETED",
        Decimal("20.00"),
        "EUR",
        "tok_good",
    )
    assert payment.settled_at is not None
    item = SaleItem.objects.get()
    assert (item.product_id, item.product_name, item.unit_price, item.quantity) == (
        lamp.pk,
        "Lamp",
        Decimal("10.00"),
        2,
    )
    assert stock_of(lamp) == 3
    assert ledger(lamp) == [(-2, "sale", sale.reference)]
    assert cart_of(buyer) == {}
    charged = scripted_gateway.charged
    assert [(charge.key, charge.amount, charge.reference) for charge in charged] == [
        (payment.key, Decimal("20.00"), sale.reference)
    ]
    assert rows() == [
        ("orders_per_day", 1),
        ("payment_success_rate", 100),
        ("circuit_breaker_state", 0),
    ]


def test_a_declined_card_restores_stock_and_cart(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    with moved() as changes:
        sale = services.sale_checkout(order=order_for(buyer, lamp, 2, "tok_declined"))
    assert changes == {
        'retail_orders_total{outcome="payment_declined"}': 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="payment_declined"}': 1,
        'retail_payments_total{outcome="failed"}': 1,
        'retail_payment_attempts_total{outcome="declined"}': 1,
        'retail_payment_duration_seconds_count{outcome="declined"}': 1,
    }
    assert sale.status == "FAILED"
    payment = Payment.objects.get()
    assert (payment.status, payment.failure_reason) == ("FAILED", "declined")
    assert stock_of(lamp) == 5
    assert ledger(lamp) == [(-2, "sale", sale.reference), (2, "release", sale.reference)]
    assert cart_of(buyer) == {lamp.pk: 2}
    assert not Email.objects.exists()
    assert rows()[0] == ("payment_success_rate", 0)


def test_without_an_answer_the_payment_is_unknown_and_the_stock_stays_reserved(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError(), GatewayTimeoutError()]
    before = timezone.now()
    with moved() as changes:
        sale = services.sale_checkout(order=order_for(buyer, lamp, 2))
    assert changes == {
        'retail_orders_total{outcome="payment_unknown"}': 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="payment_unknown"}': 1,
        'retail_payment_attempts_total{outcome="error"}': 1,
        'retail_payment_attempts_total{outcome="timeout"}': 1,
        'retail_payment_duration_seconds_count{outcome="error"}': 1,
        'retail_payment_duration_seconds_count{outcome="timeout"}': 1,
        "retail_payments_unknown": 1,
    }
    assert sale.status == "PENDING"
    assert Payment.objects.get().status == "UNKNOWN"
    ten = timedelta(seconds=10)
    assert before + ten <= Payment.objects.get().due_at <= timezone.now() + ten
    assert ledger(lamp) == [(-2, "sale", sale.reference)]
    assert len({charge.key for charge in scripted_gateway.charged}) == 1
    assert len(scripted_gateway.charged) == 2


def test_an_answer_to_the_retry_settles_the_payment(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError(), Answer.APPROVED]
    sale = services.sale_checkout(order=order_for(buyer, lamp))
    assert sale.status == "CONFIRMED"
    assert [charge.key for charge in scripted_gateway.charged] == [Payment.objects.get().key] * 2


def test_an_open_breaker_refuses_before_anything_is_reserved(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    order = order_for(buyer, lamp, 2)
    with moved() as changes, pytest.raises(BreakerOpenError) as refused:
        services.sale_checkout(order=order)
    assert changes == {
        'retail_orders_total{outcome="payment_unavailable"}': 1,
        'retail_payment_attempts_total{outcome="short_circuited"}': 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="payment_unavailable"}': 1,
    }
    assert 1 <= refused.value.retry_after <= 3600
    assert_nothing_reserved(lamp, buyer, 2)
    assert scripted_gateway.charged == []


def test_submitting_the_same_form_twice_places_one_order(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order = order_for(buyer, lamp, 2)
    first = services.sale_checkout(order=order)
    with moved() as changes:
        second = services.sale_checkout(order=order)
    assert second.pk == first.pk
    assert changes == {}
    assert stock_of(lamp) == 3
    assert len(scripted_gateway.charged) == 1


def test_a_resubmitted_form_returns_its_order_even_if_a_new_one_would_be_refused(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    order = order_for(buyer, lamp, 5)
    first = services.sale_checkout(order=order)
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    settings.THROTTLE_CHECKOUT_LIMIT = 1
    with moved() as changes:
        assert services.sale_checkout(order=order).pk == first.pk
    assert "retail_sold_out_total" not in changes
    assert not any(name.startswith("retail_checkout_duration") for name in changes)


def test_a_cart_ordered_in_another_tab_is_not_ordered_again(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    first, second = order_for(buyer, lamp, 2), order_of(buyer)
    services.sale_checkout(order=first)
    with moved() as changes, pytest.raises(services.CartChangedError):
        services.sale_checkout(order=second)
    assert changes == {}
    assert stock_of(lamp) == 3
    assert Sale.objects.count() == 1


def test_items_added_in_another_tab_stay_in_the_cart(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order = order_for(buyer, lamp, 2)
    tea = make_product("Tea")
    order_for(buyer, tea, 1)
    services.sale_checkout(order=order)
    assert cart_of(buyer) == {tea.pk: 1}


def test_an_internal_error_is_timed_with_outcome_error(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(services, "reserve", broken)
    order = order_for(buyer, lamp)
    with moved() as changes, pytest.raises(RuntimeError):
        services.sale_checkout(order=order)
    assert changes == {'retail_checkout_duration_seconds_count{kind="cart",outcome="error"}': 1}


def test_a_rejection_is_final_only_on_the_first_attempt(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.REJECTED]
    with moved() as changes:
        sale = services.sale_checkout(order=order_for(buyer, lamp))
    timed = "retail_checkout_duration_seconds_count"
    assert changes['retail_orders_total{outcome="payment_unavailable"}'] == 1
    assert changes[f'{timed}{{kind="cart",outcome="payment_unavailable"}}'] == 1
    assert (sale.status, Payment.objects.get(sale=sale).failure_reason) == ("FAILED", "rejected")
    CartItem.objects.all().delete()
    scripted_gateway.answers = [NoAnswerError(), Answer.REJECTED]
    sale = services.sale_checkout(order=order_for(buyer, lamp))
    assert (sale.status, Payment.objects.get(sale=sale).status) == ("PENDING", "UNKNOWN")


def test_the_same_key_of_another_customer_places_another_order(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    key = uuid.uuid4()
    other = make_buyer("other")
    order_for(other, lamp)
    order_for(buyer, lamp)
    sales = {services.sale_checkout(order=order_of(user, key=key)).pk for user in (buyer, other)}
    assert len(sales) == 2
    assert stock_of(lamp) == 3


def test_too_many_attempts_are_throttled_with_the_time_to_wait(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT = 1
    # No minute ends between the two.
    monkeypatch.setattr("retail.throttling.time", SimpleNamespace(time=lambda: 999.5))
    services.sale_checkout(order=order_for(buyer, lamp))
    order = order_for(buyer, lamp)
    with moved() as changes, pytest.raises(ThrottledError) as refused:
        services.sale_checkout(order=order)
    assert changes == {'retail_throttled_requests_total{scope="checkout"}': 1}
    assert refused.value.retry_after == 21
    assert stock_of(lamp) == 4
    assert cart_of(buyer) == {lamp.pk: 1}
    other = make_product("Other")
    CartItem.objects.all().delete()
    assert services.sale_checkout(order=order_for(buyer, other)).status == "CONFIRMED"


def flash_lamp() -> Product:
    now = timezone.now()
    return make_product(
        "Flash",
        "10.00",
        5,
        flash_price=Decimal("7.00"),
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )


def test_a_flash_sale_reserves_in_the_request_and_charges_in_the_worker(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    lamp = flash_lamp()
    with moved() as changes:
        sale = services.sale_checkout(order=order_for(buyer, lamp, 2))
    assert changes == {
        'retail_checkout_duration_seconds_count{kind="flash",outcome="pending"}': 1,
    }
    assert (sale.status, sale.kind, sale.total) == ("PENDING", "flash", Decimal("14.00"))
    assert stock_of(lamp) == 3
    assert cart_of(buyer) == {}
    assert scripted_gateway.charged == []
    assert settle_payments() == 1
    sale.refresh_from_db()
    assert sale.status == "CONFIRMED"
    assert len(scripted_gateway.charged) == 1
    assert settle_payments() == 0


def test_a_refused_form_is_not_answered_with_another_customers_order_of_the_same_key(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    key = uuid.uuid4()
    other = make_buyer("other")
    order_for(other, lamp, 5)
    sale = services.sale_checkout(order=order_of(other, key=key))
    order_for(buyer, lamp)
    with pytest.raises(SoldOutError):
        services.sale_checkout(order=order_of(buyer, key=key))
    assert services.sale_by_form(user_id=buyer.pk, idempotency_key=key) is None
    assert services.sale_by_form(user_id=other.pk, idempotency_key=key) == sale
    assert services.sale_by_form(user_id=other.pk, idempotency_key=uuid.uuid4()) is None


@pytest.mark.parametrize(("flash", "seconds"), [(False, 30), (True, 0)])
def test_a_reservation_keeps_its_request_delivery_and_when_the_worker_may_charge(
    buyer: User, lamp: Product, flash: bool, seconds: int
) -> None:
    with request_context("of-this-request"):
        product = flash_lamp() if flash else lamp
        sale, payment = reserve(order_for(buyer, product), new_payment_key())
    stored = Payment.objects.select_related("sale").get()
    assert stored.sale.request_id == "of-this-request"
    delivery = (stored.sale.delivery_name, stored.sale.delivery_address)
    assert delivery == ("Bea Buyer", "1 Example Street")
    assert stored.sale.created_at == stored.created_at == sale.created_at == payment.created_at
    assert stored.due_at - stored.created_at == timedelta(seconds=seconds)
