"""Returns: what may be returned, what staff decide, and what moves in stock and money."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from orders.models import Payment, Sale
from orders.services import sale_checkout
from payments.services import Answer
from products.models import HeldStock, Product, StockMovement
from products.services import stock_put_held
from retail.models import Email
from returns.errors import RefundProblemError, ReturnProblemError
from returns.models import Refund, Return, ReturnItem
from returns.refunds import refund_request
from returns.services import (
    Inspected,
    order_cancel,
    return_approve,
    return_receive,
    return_refund,
    return_reject,
    return_request,
    returns_expire,
)
from tests.returns.conftest import ask
from tests.support import ScriptedGateway, ledger, make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db
D = Decimal
Arrived = Callable[..., Return]


def emails() -> list[str]:
    kinds = Email.objects.exclude(kind__startswith="order").order_by("pk")
    return list(kinds.values_list("kind", flat=True))


def stock(product: Product) -> int:
    return Product.objects.get(pk=product.pk).stock


def test_a_return_from_request_to_refund(sent: Sale, lamp: Product, arrived: Arrived) -> None:
    before = stock(lamp)
    of_return = arrived(sellable=1, damaged=1)
    assert (of_return.status, stock(lamp)) == ("received", before + 1)
    moved = [(units, reason) for units, reason, of in ledger(lamp) if of == of_return.reference]
    assert sorted(moved) == [(-1, "loss"), (1, "return"), (1, "return")]
    refund = return_refund(of_return=of_return, amount=D("20.00"), user_id=None)
    assert refund is not None
    assert (refund.reason, refund.amount, refund.of_return) == ("return", D("20.00"), of_return)
    of_return.refresh_from_db()
    assert of_return.status == "closed"
    assert Payment.objects.get(sale=sent).refund_reserved == D("20.00")
    assert emails() == [
        "return_requested",
        "return_approved",
        "return_received",
        "refund_requested",
    ]


def test_lost_units_are_written_off_and_refunded(lamp: Product, sent: Sale) -> None:
    before = stock(lamp)
    of_return = ask(sent, 3, reason="lost_parcel")
    item = of_return.items.get()
    return_approve(of_return=of_return, units={item.pk: 3})
    return_receive(of_return=of_return, inspected={item.pk: Inspected(lost=3)})
    assert stock(lamp) == before
    refund = return_refund(of_return=of_return, amount=D("30.00"), user_id=None)
    assert refund is not None
    assert refund.reason == "lost_parcel"


def test_the_same_form_gives_the_same_return(sent: Sale) -> None:
    line, form = sent.items.get(), uuid.uuid4()
    options: Any = {"sale": sent, "units": {line.pk: 2}, "reason": "other", "form_key": form}
    first = return_request(**options)
    assert return_request(**options) == first
    assert Return.objects.count() == ReturnItem.objects.count() == 1


def test_no_more_units_are_returned_than_were_sold(sent: Sale, arrived: Arrived) -> None:
    first = ask(sent, 1)  # requested
    arrived(sellable=1)  # received
    with pytest.raises(ReturnProblemError, match="another return"):
        ask(sent, 2)
    return_reject(of_return=first, answer="It was used")
    ask(sent, 2)
    with pytest.raises(ReturnProblemError, match="another return"):
        ask(sent, 1)


def test_units_that_were_not_approved_or_not_sent_can_be_returned_again(sent: Sale) -> None:
    first = ask(sent, 3)
    item = first.items.get()
    return_approve(of_return=first, units={item.pk: 2}, answer="One was used")
    ask(sent, 1)
    return_receive(of_return=first, inspected={item.pk: Inspected(sellable=1)})
    ask(sent, 1)
    with pytest.raises(ReturnProblemError):
        ask(sent, 1)


@pytest.mark.parametrize("units", [{}, {0: 1}, "0", "-1", "4"])
def test_units_that_cannot_be_returned(sent: Sale, units: Any) -> None:
    line = sent.items.get()
    wanted = {line.pk: int(units)} if isinstance(units, str) else units
    with pytest.raises(ReturnProblemError):
        return_request(sale=sent, units=wanted, reason="other", form_key=uuid.uuid4())
    assert not Return.objects.exists()


def test_the_time_to_return(sale: Sale, settings: Any) -> None:
    with pytest.raises(ReturnProblemError, match="not dispatched"):
        ask(sale, 1)
    days = timedelta(days=settings.RETURN_DAYS)
    Sale.objects.update(dispatched_at=timezone.now() - days - timedelta(minutes=1))
    with pytest.raises(ReturnProblemError, match="within 30 days"):
        ask(sale, 1)
    Sale.objects.update(dispatched_at=timezone.now() - days + timedelta(minutes=1))
    ask(sale, 1)


def test_an_order_that_was_not_paid_has_nothing_to_return(
    scripted_gateway: ScriptedGateway, lamp: Product
) -> None:
    scripted_gateway.answers = [Answer.DECLINED]
    failed = sale_checkout(order=order_for(make_buyer("ben"), lamp, 1))
    with pytest.raises(ReturnProblemError, match="not paid"):
        ask(failed, 1)
    with pytest.raises(ReturnProblemError, match="not paid"):
        order_cancel(sale=failed, user_id=None)


def test_approval_in_part_needs_words(sent: Sale) -> None:
    of_return = ask(sent, 3)
    item = of_return.items.get()
    for units, answer in [({item.pk: 2}, ""), ({item.pk: 0}, "no"), ({item.pk: 4}, "all")]:
        with pytest.raises(ReturnProblemError):
            return_approve(of_return=of_return, units=units, answer=answer)
    of_return.refresh_from_db()
    item.refresh_from_db()
    assert (of_return.status, item.approved) == ("requested", 0)
    return_approve(of_return=of_return, units={item.pk: 2}, answer="One was used")
    item.refresh_from_db()
    assert item.approved == 2


def test_a_decision_is_made_once(sent: Sale) -> None:
    of_return = ask(sent, 1)
    item = of_return.items.get()
    return_reject(of_return=of_return, answer="Too late")
    with pytest.raises(ReturnProblemError, match="changed since"):
        return_approve(of_return=of_return, units={item.pk: 1})
    with pytest.raises(ReturnProblemError, match="changed since"):
        return_reject(of_return=of_return, answer="Too late")
    with pytest.raises(ReturnProblemError, match="at most as many"):
        return_receive(of_return=of_return, inspected={item.pk: Inspected(lost=1)})
    assert emails() == ["return_requested", "return_rejected"]


def test_a_rejection_needs_words(sent: Sale) -> None:
    of_return = ask(sent, 1)
    with pytest.raises(ReturnProblemError, match="Say why"):
        return_reject(of_return=of_return, answer="  ")


@pytest.mark.parametrize(
    "found", [Inspected(), Inspected(2), Inspected(1, 1), Inspected(-1, 1), Inspected(0, 0, 2)]
)
def test_what_arrives_is_within_what_was_approved(
    sent: Sale, lamp: Product, found: Inspected
) -> None:
    of_return = ask(sent, 1)
    item = of_return.items.get()
    return_approve(of_return=of_return, units={item.pk: 1})
    before = (stock(lamp), StockMovement.objects.count())
    with pytest.raises(ReturnProblemError):
        return_receive(of_return=of_return, inspected={item.pk: found})
    of_return.refresh_from_db()
    assert of_return.status == "approved"
    assert (stock(lamp), StockMovement.objects.count()) == before


def test_a_return_arrives_once(arrived: Arrived, lamp: Product) -> None:
    of_return = arrived(sellable=2)  # of three: twice would be more than were sold
    item = of_return.items.get()
    before = stock(lamp)
    with pytest.raises(ReturnProblemError, match="changed since"):
        return_receive(of_return=of_return, inspected={item.pk: Inspected(sellable=2)})
    assert stock(lamp) == before


@pytest.mark.parametrize("amount", ["10.01", "-0.01", "5.00"])
def test_the_refund_is_at_most_the_worth_and_less_only_with_words(
    sent: Sale, arrived: Arrived, amount: str
) -> None:
    of_return = arrived(1)
    with pytest.raises(RefundProblemError):
        return_refund(of_return=of_return, amount=D(amount), user_id=None)
    of_return.refresh_from_db()
    assert (of_return.status, Refund.objects.count()) == ("received", 0)
    assert Payment.objects.get(sale=sent).refund_reserved == 0


def test_less_may_be_refunded_with_words_and_nothing_too(sent: Sale, arrived: Arrived) -> None:
    refund = return_refund(
        of_return=arrived(1), amount=D("4.00"), user_id=None, message="Scratched"
    )
    assert refund is not None
    assert (refund.amount, refund.message) == (D("4.00"), "Scratched")
    nothing = arrived(0, 1)
    assert return_refund(of_return=nothing, amount=D(0), user_id=None, message="Broken") is None
    nothing.refresh_from_db()
    assert (nothing.status, nothing.answer) == ("closed", "Broken")
    assert emails()[-1] == "return_closed"
    assert Payment.objects.get(sale=sent).refund_reserved == D("4.00")


def test_a_return_is_refunded_once(arrived: Arrived) -> None:
    of_return = arrived(1)
    first = return_refund(of_return=of_return, amount=D(10), user_id=None)
    assert return_refund(of_return=of_return, amount=D(10), user_id=None) == first
    assert Refund.objects.count() == 1


def test_a_return_cannot_be_refunded_beyond_the_payment(sent: Sale, arrived: Arrived) -> None:
    of_return = arrived(1)
    payment = Payment.objects.get(sale=sent)
    refund_request(payment=payment, amount=D(25), reason="goodwill")
    with pytest.raises(RefundProblemError, match=r"Only 5\.00"):
        return_refund(of_return=of_return, amount=D(10), user_id=None)
    of_return.refresh_from_db()
    assert of_return.status == "received"


def test_the_price_that_was_paid_is_refunded(
    scripted_gateway: ScriptedGateway, arrived: Arrived, sent: Sale
) -> None:
    """The flash price that was paid, and not the price of today."""
    del scripted_gateway
    Product.objects.update(price=D("99.00"))
    item = arrived(2).items.get()
    assert item.value == D("20.00")
    assert sent.items.get().unit_price == D("10.00")


def test_no_unit_slips_into_a_running_flash_sale(lamp: Product, arrived: Arrived) -> None:
    now = timezone.now()
    Product.objects.filter(pk=lamp.pk).update(
        flash_price=D(7), flash_starts_at=now, flash_ends_at=now + timedelta(hours=1)
    )
    before = stock(lamp)
    of_return = arrived(2, 1)
    assert stock(lamp) == before
    assert stock_put_held() == 0
    held = HeldStock.objects.get()
    assert (held.quantity, held.reference) == (2, of_return.reference)
    Product.objects.filter(pk=lamp.pk).update(flash_ends_at=now + timedelta(microseconds=1))
    assert stock_put_held() == 2
    assert (stock(lamp), HeldStock.objects.count()) == (before + 2, 0)
    moved = [(units, reason) for units, reason, of in ledger(lamp) if of == of_return.reference]
    assert sorted(moved) == [(-1, "loss"), (1, "return"), (2, "return")]


def test_returns_expire(sent: Sale, settings: Any) -> None:
    of_return = ask(sent, 1)
    return_approve(of_return=of_return, units={of_return.items.get().pk: 1})
    assert returns_expire() == 0
    late = timezone.now() - timedelta(days=settings.RETURN_DAYS, minutes=1)
    Return.objects.update(decided_at=late)
    waiting = ask(sent, 1)  # not approved yet: staff are late, not the customer
    Return.objects.filter(pk=waiting.pk).update(requested_at=late)
    lost = ask(sent, 1, reason="lost_parcel")
    return_approve(of_return=lost, units={lost.items.get().pk: 1})
    Return.objects.filter(pk=lost.pk).update(decided_at=late)
    assert returns_expire() == 1
    of_return.refresh_from_db()
    assert of_return.status == "expired"
    assert "return_expired" in emails()
    assert returns_expire() == 0


def test_a_paid_order_is_cancelled_before_its_dispatch(sale: Sale, lamp: Product) -> None:
    refund = order_cancel(sale=sale, user_id=sale.user_id)
    assert refund is not None
    assert (refund.amount, refund.reason) == (D("30.00"), "cancellation")
    sale.refresh_from_db()
    assert (sale.status, sale.state) == ("CONFIRMED", "refunded")
    assert stock(lamp) == 5
    assert ledger(lamp)[-1] == (3, "cancel", sale.reference)
    assert order_cancel(sale=sale, user_id=sale.user_id) == refund
    assert (Refund.objects.count(), stock(lamp)) == (1, 5)


def test_only_what_is_left_is_refunded_at_a_cancellation(sale: Sale) -> None:
    payment = Payment.objects.get(sale=sale)
    refund_request(payment=payment, amount=D(5), reason="goodwill")
    refund = order_cancel(sale=sale, user_id=None)
    assert refund is not None
    assert refund.amount == D("25.00")


def test_a_dispatched_order_is_not_cancelled(sent: Sale, lamp: Product) -> None:
    before = stock(lamp)
    with pytest.raises(ReturnProblemError, match="dispatched"):
        order_cancel(sale=sent, user_id=None)
    sent.refresh_from_db()
    assert (sent.cancelled_at, Refund.objects.count(), stock(lamp)) == (None, 0, before)


def test_a_disputed_order_is_not_cancelled(sale: Sale, lamp: Product) -> None:
    Payment.objects.update(disputed_at=timezone.now())
    before = stock(lamp)
    with pytest.raises(RefundProblemError, match="dispute"):
        order_cancel(sale=sale, user_id=None)
    sale.refresh_from_db()
    assert (sale.cancelled_at, stock(lamp), Refund.objects.count()) == (None, before, 0)


@pytest.mark.parametrize(
    "values",
    [
        {"approved": 4},
        {"requested": 0},
        {"approved": 2, "sellable": 1, "damaged": 1, "lost": 1},
        {"value": D("-0.01")},
    ],
)
def test_the_database_keeps_the_order_of_units(sent: Sale, values: dict[str, Any]) -> None:
    item = ask(sent, 3).items.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        ReturnItem.objects.filter(pk=item.pk).update(**values)


def test_lines_of_several_prices(scripted_gateway: ScriptedGateway) -> None:
    del scripted_gateway
    user = make_buyer("mia")
    pens, cups = make_product("Pen", "1.99", 9), make_product("Cup", "7.45", 9)
    order_for(user, pens, 4)
    sale = sale_checkout(order=order_for(user, cups, 2))
    Sale.objects.update(dispatched_at=timezone.now())
    sale.refresh_from_db()
    lines = {line.product_name: line for line in sale.items.all()}
    of_return = return_request(
        sale=sale,
        units={lines["Pen"].pk: 3, lines["Cup"].pk: 1},
        reason="other",
        form_key=uuid.uuid4(),
    )
    items = {item.sale_item.product_name: item for item in of_return.items.all()}
    return_approve(of_return=of_return, units={item.pk: item.requested for item in items.values()})
    inspected = {items["Pen"].pk: Inspected(3), items["Cup"].pk: Inspected(0, 1)}
    return_receive(of_return=of_return, inspected=inspected)
    values = {item.sale_item.product_name: item.value for item in of_return.items.all()}
    assert values == {"Pen": D("5.97"), "Cup": D("7.45")}
