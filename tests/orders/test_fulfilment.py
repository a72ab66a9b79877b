"""A paid order is dispatched once, or cancelled before, and its buyer is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders import personal
from orders.fulfilment import (
    NotDispatchableError,
    payment_dispute,
    sale_cancel,
    sale_dispatch,
    to_dispatch,
)
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import HeldStock, Product
from retail.models import Email
from retail.personal_data import ErasureRefusedError
from tests.orders.state import stock_of
from tests.support import ledger, make_product, order_for, send_emails

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client
    from pytest_django import Settings

    from tests.retail.conftest import Lines

pytestmark = pytest.mark.django_db(transaction=True)


def place(buyer: User, product: Product, answer: Answer | None = Answer.APPROVED) -> Sale:
    """Place an order of two lamps whose payment ends like this."""
    sale, payment = reserve(order_for(buyer, product, 2), new_payment_key())
    if answer:
        assert payment_settle(payment=payment, answer=answer)
    return Sale.objects.get(pk=sale.pk)


@pytest.fixture
def sale(buyer: User, lamp: Product) -> Sale:
    """Return a paid order whose confirmation was sent."""
    placed = place(buyer, lamp)
    send_emails()
    mail.outbox.clear()
    return placed


def dispatch(sale: Sale) -> bool:
    return sale_dispatch(reference=sale.reference, user_id=7)


def test_an_order_is_dispatched_once_and_its_buyer_is_notified_once(
    sale: Sale, lamp: Product, lines: Lines
) -> None:
    assert list(to_dispatch()) == [sale]
    assert dispatch(sale) is True
    first = Sale.objects.get().dispatched_at
    assert first is not None
    assert dispatch(sale) is False
    send_emails()
    assert dispatch(sale) is False
    assert send_emails() == 0
    assert Sale.objects.get().dispatched_at == first
    assert list(to_dispatch()) == []
    assert (stock_of(lamp), ledger(lamp)) == (3, [(-2, "sale", sale.reference)])
    [message] = mail.outbox
    assert (message.to, message.subject) == (
        ["buyer@example.com"], f"Your order {sale.reference} is on its way",
    )  # fmt: skip
    logged = [line for line in lines() if line["message"] == "event=order.dispatched"]
    assert [line["extra"] for line in logged] == [{"order_ref": sale.reference, "user_id": 7}]


@pytest.mark.parametrize(
    ("shop_url", "days", "how"),
    [
        ("", 30, 'within 30 days. Log in, open the order under "Your orders" and choose'),
        (
            "https://shop.example",
            1,
            'within 1 day. Open your order and choose "Return items":\nhttps://shop.example/orders/{}',
        ),
    ],
)
def test_the_email_says_what_was_sent_where_and_how_to_return_it(
    sale: Sale, settings: Settings, shop_url: str, days: int, how: str
) -> None:
    settings.SHOP_URL, settings.RETURN_DAYS = shop_url, days
    dispatch(sale)
    send_emails()
    body = str(mail.outbox[0].body)
    for words in (
        *("Hello Bea Buyer,", f"order {sale.reference} is on its way", "2 x Lamp\n"),
        *("Delivery to:\nBea Buyer\n1 Example Street\n", how.format(sale.reference)),
    ):
        assert words in body
    assert "{" not in body


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "is not paid: waiting for payment."),
        (Answer.DECLINED, "is not paid: payment failed."),
        (Answer.CANCELLED, "is not paid: cancelled."),
    ],
)
def test_what_is_not_paid_is_not_dispatched(
    buyer: User, lamp: Product, answer: Answer | None, why: str
) -> None:
    sale = place(buyer, lamp, answer)
    with pytest.raises(NotDispatchableError, match=f"{sale.reference} {why}"):
        dispatch(sale)
    with transaction.atomic():
        assert sale_cancel(sale=sale) is False
    sale = Sale.objects.get()
    assert (sale.dispatched_at, sale.cancelled_at) == (None, None)
    assert not Email.objects.filter(kind="order_dispatched").exists()


def test_an_unknown_order_is_not_dispatched(db: None) -> None:
    with pytest.raises(NotDispatchableError, match=r"There is no order VT-NONE\."):
        sale_dispatch(reference="VT-NONE", user_id=1)


def test_a_cancelled_order_puts_its_units_back_once_and_is_not_dispatched(
    sale: Sale, lamp: Product, lines: Lines
) -> None:
    assert sale_cancel(sale=sale) is True
    assert sale_cancel(sale=Sale.objects.get()) is False
    stored = Sale.objects.get()
    assert (stored.status, stored.cancelled_at) == ("CONFIRMED", sale.cancelled_at)
    assert (stored.state, stored.state_label) == ("refunded", "Cancelled, money back")
    assert stock_of(lamp) == 5
    assert ledger(lamp) == [(-2, "sale", sale.reference), (2, "cancel", sale.reference)]
    with pytest.raises(NotDispatchableError, match=f"{sale.reference} was cancelled"):
        dispatch(sale)
    assert list(to_dispatch()) == []
    assert send_emails() == 0
    logged = [line for line in lines() if line["message"] == "event=order.cancelled"]
    assert [line["extra"] for line in logged] == [{"order_ref": sale.reference}]


def test_a_dispatched_order_is_not_cancelled(sale: Sale, lamp: Product) -> None:
    dispatch(sale)
    assert sale_cancel(sale=sale) is False  # though it was read before
    stored = Sale.objects.get()
    assert (sale.cancelled_at, stored.cancelled_at) == (None, None)
    assert (stored.state, stored.state_label) == ("dispatched", "Dispatched")
    assert stock_of(lamp) == 3


def test_units_cancelled_during_a_flash_sale_are_held(sale: Sale, lamp: Product) -> None:
    now = timezone.now()
    Product.objects.update(
        flash_price="7.00",
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )
    assert sale_cancel(sale=sale)
    assert stock_of(lamp) == 3
    held = HeldStock.objects.values_list("product", "quantity", "reason", "reference")
    assert list(held) == [(lamp.pk, 2, "cancel", sale.reference)]


@pytest.mark.parametrize("step", ["DISPATCHED.write", "stock_put_back"])
def test_all_of_it_is_committed_or_nothing(
    sale: Sale, lamp: Product, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(**_: object) -> None:
        raise LookupError

    monkeypatch.setattr(f"orders.fulfilment.{step}", broken)
    with pytest.raises(LookupError):
        sale_cancel(sale=sale) if step == "stock_put_back" else dispatch(sale)
    stored = Sale.objects.get()
    assert (stored.dispatched_at, stored.cancelled_at, stock_of(lamp)) == (None, None, 3)
    assert not Email.objects.filter(kind="order_dispatched").exists()


@pytest.mark.parametrize(
    ("constraint", "status", "dispatched", "cancelled"),
    [
        ("sale_dispatched_or_cancelled_only_if_paid", "FAILED", True, False),
        ("sale_dispatched_or_cancelled_only_if_paid", "PENDING", False, True),
        ("sale_not_dispatched_and_cancelled", "CONFIRMED", True, True),
    ],
)
def test_the_database_refuses_other_states(
    sale: Sale, constraint: str, status: str, dispatched: bool, cancelled: bool
) -> None:
    now = timezone.now()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Sale.objects.update(
            status=status,
            dispatched_at=now if dispatched else None,
            cancelled_at=now if cancelled else None,
        )


@pytest.mark.parametrize(
    ("reserved", "status"), [(-1, "COMPLETED"), (21, "COMPLETED"), (1, "FAILED")]
)
def test_the_database_refuses_refunds_beyond_the_payment(
    sale: Sale, reserved: int, status: str
) -> None:
    with (
        pytest.raises(IntegrityError, match="payment_refunds_within_amount"),
        transaction.atomic(),
    ):
        Payment.objects.update(refund_reserved=reserved, status=status)
    assert Payment.objects.update(refund_reserved=20) == 1


def test_a_dispute_is_stored_and_cleared(sale: Sale) -> None:
    key, at = sale.payments.get().key, timezone.now()
    payment_dispute(key="another", at=at)
    assert Payment.objects.get().disputed_at is None
    payment_dispute(key=key, at=at)
    assert Payment.objects.get().disputed_at == at
    payment_dispute(key=key, at=None)
    assert Payment.objects.get().disputed_at is None


def test_the_buyer_sees_each_state_on_the_page_and_in_the_list(client: Client, buyer: User) -> None:
    client.force_login(buyer)
    product = make_product("Kettle")
    waiting, sent, cancelled = (place(buyer, product) for _ in range(3))
    dispatch(sent)
    assert sale_cancel(sale=cancelled)
    listed = client.get("/orders/").content.decode()
    for sale, state, label, words in (
        (waiting, "confirmed", "Confirmed", "Thank you for your order"),
        (sent, "dispatched", "Dispatched", "Your order is on its way"),
        (cancelled, "refunded", "Cancelled, money back", "We refund the full amount of €20.00."),
    ):
        page = client.get(f"/orders/{sale.reference}/").content.decode()
        assert f'<p class="pill {state}">{label}</p>' in page
        assert words in page
        assert listed.count(f'<span class="pill {state}">{label}</span>') == 1
    assert f"{timezone.now():%-d %b %Y}" in page


def test_the_export_has_what_became_of_the_order(sale: Sale, buyer: User) -> None:
    dispatch(sale)
    payment_dispute(key=sale.payments.get().key, at=timezone.now())
    Payment.objects.update(refund_reserved="1.50")
    [exported] = personal._export(buyer.pk)
    stored = Sale.objects.get()
    assert (exported["dispatched_at"], exported["cancelled_at"]) == (stored.dispatched_at, None)
    [payment] = exported["payments"]
    assert str(payment["refund_reserved"]) == "1.50"
    assert payment["disputed_at"] is not None


def test_an_order_to_be_dispatched_keeps_its_address(sale: Sale, buyer: User) -> None:
    Sale.objects.update(finished_at=timezone.now() - timedelta(days=5000))
    assert personal.forget_old(timezone.now()) == 0
    with pytest.raises(ErasureRefusedError, match="has not been dispatched"):
        personal._erase(buyer.pk)
    assert Sale.objects.get().delivery_address == "1 Example Street"
    dispatch(sale)
    personal._erase(buyer.pk)
    assert Sale.objects.get().delivery_address == ""
    assert not Email.objects.exists()


def test_a_cancelled_order_is_forgotten_in_time(sale: Sale) -> None:
    assert sale_cancel(sale=sale)
    Sale.objects.update(finished_at=timezone.now() - timedelta(days=5000))
    assert personal.forget_old(timezone.now()) == 1
