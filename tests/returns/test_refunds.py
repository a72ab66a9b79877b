"""A refund is requested once and within what was paid, and not while the charge is disputed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, transaction

from orders.models import Payment, Sale
from returns import changes
from returns.errors import RefundProblemError
from returns.models import Refund
from returns.refunds import (
    refund_retry,
)
from tests.returns.conftest import work
from tests.returns.money import D, ask, emails, payment_of, reserved, states
from tests.returns.rows import make_paid
from tests.support import make_buyer

if TYPE_CHECKING:
    from tests.returns.gateway import FakeGateway

pytestmark = pytest.mark.django_db


def test_a_refund_is_sent_once_and_paid_out(sale: Sale, bank: FakeGateway) -> None:
    refund = ask(sale, message="Sorry for the delay")
    assert reserved(sale) == D("12.50")
    assert bank.sent == []  # not before the worker has it
    work()
    [request] = bank.sent
    payment = payment_of(sale)
    assert (request.key, request.charge_key) == (refund.key, payment.key)
    assert (request.amount, request.currency) == (D("12.50"), payment.currency)
    assert request.reference == refund.reference
    assert states(sale) == [("SUCCEEDED", "", True)]
    assert Refund.objects.get().attempts == 1
    assert emails() == ["refund_requested", "refund_paid"]
    work()
    assert len(bank.sent) == 1
    assert reserved(sale) == D("12.50")


def test_the_same_form_gives_the_same_refund(sale: Sale) -> None:
    form = uuid.uuid4()
    first = ask(sale, form_key=form)
    assert ask(sale, form_key=form) == first
    assert (Refund.objects.count(), reserved(sale)) == (1, D("12.50"))


def test_a_form_of_another_order_is_refused(sale: Sale) -> None:
    form = uuid.uuid4()
    ask(make_paid(make_buyer("ben")).sale, "1.00", form_key=form)
    with pytest.raises(RefundProblemError, match="another order"):
        ask(sale, form_key=form)
    assert (reserved(sale), Refund.objects.count()) == (D(0), 1)


@pytest.mark.parametrize("amounts", [["30.01"], ["30.00", "0.01"], ["29.99", "0.02"]])
def test_the_limit_is_what_was_paid(sale: Sale, amounts: list[str]) -> None:
    for amount in amounts[:-1]:
        ask(sale, amount)
    before = reserved(sale)
    with pytest.raises(RefundProblemError, match="can still be refunded"):
        ask(sale, amounts[-1])
    assert (reserved(sale), Refund.objects.count()) == (before, len(amounts) - 1)


def test_many_small_refunds_reach_the_limit_exactly(sale: Sale) -> None:
    """Sums of 0.10 are not exact as floating-point numbers."""
    for _ in range(300):
        ask(sale, "0.10")
    assert reserved(sale) == D("30.00")
    with pytest.raises(RefundProblemError, match=r"Only 0\.00 of 30\.00"):
        ask(sale, "0.01")


@pytest.mark.parametrize("amount", ["0", "-1.00"])
def test_nothing_is_refunded_for_no_amount(sale: Sale, amount: str) -> None:
    with pytest.raises(RefundProblemError, match="above 0"):
        ask(sale, amount)
    assert (reserved(sale), Refund.objects.count()) == (D(0), 0)


def test_a_page_that_is_out_of_date_refunds_nothing(sale: Sale) -> None:
    """Two members of staff see the same complaint: only the first refund is made."""
    ask(sale, seen=D("0.00"))
    with pytest.raises(RefundProblemError, match="since you opened this page"):
        ask(sale, seen=D("0.00"))
    assert (reserved(sale), Refund.objects.count()) == (D("12.50"), 1)


def test_the_database_has_the_limit_too(sale: Sale) -> None:
    row = Payment.objects.filter(sale=sale)
    for values in ({"refund_reserved": D("30.01")}, {"refund_reserved": D("-0.01")}):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.update(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.update(refund_reserved=D(1), status="FAILED", failure_reason="declined")
    assert reserved(sale) == 0


def test_a_payment_that_was_not_completed_has_nothing_to_refund(sale: Sale) -> None:
    Payment.objects.filter(sale=sale).update(status="UNKNOWN")
    with pytest.raises(RefundProblemError, match="never completed"):
        ask(sale)


def test_a_disputed_charge_is_not_refunded(sale: Sale, bank: FakeGateway) -> None:
    waiting = ask(sale, "5.00")
    bank.dispute(payment_of(sale).key, "opened")
    changes.follow()
    with pytest.raises(RefundProblemError, match="disputes this charge"):
        ask(sale, "1.00")
    work()  # the one that was requested before is not sent any more
    assert bank.sent == []
    assert states(sale) == [("FAILED", "disputed", False)]
    assert reserved(sale) == 0
    with pytest.raises(RefundProblemError, match="disputes this charge"):
        refund_retry(refund=waiting, user_id=None)
    bank.dispute(payment_of(sale).key, "closed")
    changes.follow()
    refund_retry(refund=waiting, user_id=None)
    work()
    assert states(sale) == [("FAILED", "disputed", True), ("SUCCEEDED", "", True)]
