"""A refund's life, from its request to its end, whatever the gateway does."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, transaction

from orders.models import Payment, Sale
from payments.refunds import RefundStatus
from payments.services import BreakerOpenError
from retail.models import Email
from returns import changes, refunding
from returns.errors import RefundProblemError
from returns.models import GatewayPosition, Refund
from returns.refunds import (
    refund_paid_otherwise,
    refund_request,
    refund_resolve,
    refund_retry,
)
from tests.returns.conftest import age, due, work

if TYPE_CHECKING:
    from tests.returns.gateway import FakeGateway

pytestmark = pytest.mark.django_db
D = Decimal


def payment_of(sale: Sale) -> Payment:
    return Payment.objects.get(sale=sale)


def ask(sale: Sale, amount: str = "12.50", **options: Any) -> Refund:
    return refund_request(payment=payment_of(sale), amount=D(amount), reason="goodwill", **options)


def reserved(sale: Sale) -> Decimal:
    return payment_of(sale).refund_reserved


def states(sale: Sale) -> list[tuple[str, str, bool]]:
    """Return the status, the failure and whether it is settled, of each refund of an order."""
    refunds = Refund.objects.filter(payment__sale=sale).order_by("pk")
    return [(row.status, row.failure, row.settled_at is not None) for row in refunds]


def emails() -> list[str]:
    return list(
        Email.objects.filter(kind__startswith="refund")
        .order_by("pk")
        .values_list("kind", flat=True)
    )


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
    assert (reserved(sale), Refund.objects.count()) == (0, 0)


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


@pytest.mark.parametrize("behaviour", ["no answer", "answer lost", "not connected"])
def test_without_an_answer_it_is_asked_again_under_the_same_key(
    sale: Sale, bank: FakeGateway, behaviour: str
) -> None:
    bank.behaviour = behaviour
    refund = ask(sale)
    due()
    refunding.settle_due()
    status = "REQUESTED" if behaviour == "not connected" else "UNKNOWN"
    assert states(sale) == [(status, "", False)]
    assert (Refund.objects.get().first_sent_at is None) == (behaviour == "not connected")
    bank.behaviour = "succeeds"
    work()
    assert states(sale) == [("SUCCEEDED", "", True)]
    assert {request.key for request in bank.sent} == {refund.key}
    assert bank.paid(payment_of(sale).key) == D("12.50")


@pytest.mark.parametrize("recorded", [True, False], ids=["paid", "not paid"])
def test_a_forgotten_key_is_never_sent_again(
    sale: Sale, bank: FakeGateway, *, recorded: bool
) -> None:
    bank.behaviour = "answer lost" if recorded else "no answer"
    refund = ask(sale)
    due()
    refunding.settle_due()
    sent = len(bank.sent)
    age(refund, hours=23)
    bank.forget_keys()
    bank.changes.clear()
    bank.behaviour = "succeeds"
    work()
    assert len(bank.sent) == sent
    if recorded:
        assert states(sale) == [("SUCCEEDED", "", True)]
    else:
        assert states(sale) == [("NEEDS_HUMAN", "", False)]
        work()
        assert len(bank.sent) == sent
    assert reserved(sale) == D("12.50")


def test_what_was_sent_long_ago_is_looked_up_before_it_is_sent_again(
    sale: Sale, bank: FakeGateway
) -> None:
    """A clock that was set back makes a forgotten key look young."""
    bank.behaviour = "answer lost"
    refund = ask(sale)
    due()
    refunding.settle_due()
    age(refund, minutes=20)
    bank.forget_keys()
    bank.changes.clear()
    bank.behaviour = "succeeds"
    work()
    assert (len(bank.sent), len(bank.rows)) == (1, 1)
    assert states(sale) == [("SUCCEEDED", "", True)]


def test_a_gateway_without_keys_is_asked_and_never_sent_to_again(
    sale: Sale, bank: FakeGateway, settings: Any
) -> None:
    settings.GATEWAY_RETRY = "unsent"
    bank.behaviour = "no answer"
    refund = ask(sale)
    work()
    work()
    assert (len(bank.sent), states(sale)) == (1, [("UNKNOWN", "", False)])
    age(refund, minutes=15)
    work()
    assert (len(bank.sent), states(sale)) == (1, [("NEEDS_HUMAN", "", False)])


def test_two_rows_of_one_refund_need_a_person(sale: Sale, bank: FakeGateway) -> None:
    bank.behaviour = "pending"
    ask(sale)
    work()
    bank.rows.append(bank.rows[0])
    work()
    assert states(sale) == [("NEEDS_HUMAN", "", False)]


@pytest.mark.parametrize("reason", ["disputed", "exceeds", "rejected"])
def test_a_refusal_of_the_first_request_is_final(
    sale: Sale, bank: FakeGateway, reason: str
) -> None:
    bank.behaviour = reason
    ask(sale)
    work()
    assert states(sale) == [("FAILED", reason, False)]
    assert reserved(sale) == 0
    work()
    assert len(bank.sent) == 1


def test_a_refusal_of_a_later_request_proves_nothing_yet(sale: Sale, bank: FakeGateway) -> None:
    bank.behaviour = "no answer"
    refund = ask(sale)
    work()
    bank.behaviour = "exceeds"
    work()
    assert states(sale) == [("UNKNOWN", "", False)]
    assert reserved(sale) == D("12.50")
    age(refund, minutes=15)
    work()
    assert states(sale) == [("NEEDS_HUMAN", "", False)]


def test_an_open_breaker_sends_nothing(
    sale: Sale, bank: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payments.services import BreakerOpenError  # noqa: PLC0415 - Django comes first

    def is_open(**_: object) -> None:
        raise BreakerOpenError(5)

    monkeypatch.setattr(refunding, "refund_send", is_open)
    ask(sale)
    due()
    refunding.settle_due()
    refund = Refund.objects.get()
    assert (refund.status, refund.attempts, refund.first_sent_at) == ("REQUESTED", 0, None)
    assert bank.sent == []


def test_pending_then_paid(sale: Sale, bank: FakeGateway) -> None:
    bank.behaviour = "pending"
    ask(sale)
    work()
    assert states(sale) == [("PENDING", "", False)]
    bank.set(bank.rows[0], RefundStatus.SUCCEEDED)
    work()
    assert states(sale) == [("SUCCEEDED", "", True)]
    assert len(bank.sent) == 1


def test_what_fails_is_tried_again_and_then_needs_a_person(sale: Sale, bank: FakeGateway) -> None:
    bank.behaviour = "fails"
    ask(sale)
    for _ in range(5):
        work()
    assert states(sale) == [
        ("FAILED", "gateway", True),
        ("FAILED", "gateway", True),
        ("FAILED", "gateway", False),
    ]
    assert len({request.key for request in bank.sent}) == 3
    assert (reserved(sale), bank.paid(payment_of(sale).key)) == (0, 0)
    assert emails() == ["refund_requested"]
    bank.behaviour = "succeeds"
    last = Refund.objects.latest("pk")
    refund_retry(refund=last, user_id=None)
    with pytest.raises(RefundProblemError, match="dealt with"):
        refund_retry(refund=last, user_id=None)
    work()
    assert states(sale)[-2:] == [("FAILED", "gateway", True), ("SUCCEEDED", "", True)]
    assert reserved(sale) == bank.paid(payment_of(sale).key) == D("12.50")


def test_a_refund_that_fails_after_it_was_paid_out_is_owed_again(
    sale: Sale, bank: FakeGateway
) -> None:
    ask(sale)
    work()
    bank.set(bank.rows[0], RefundStatus.FAILED)
    work()  # reads that it failed
    assert states(sale) == [("FAILED", "gateway", True), ("REQUESTED", "", False)]
    assert reserved(sale) == D("12.50")
    work()
    assert states(sale)[-1] == ("SUCCEEDED", "", True)
    assert reserved(sale) == bank.paid(payment_of(sale).key) == D("12.50")
    assert emails() == ["refund_requested", "refund_paid", "refund_failed", "refund_paid"]


def test_cancelled_at_the_gateway_is_for_a_person(sale: Sale, bank: FakeGateway) -> None:
    bank.behaviour = "cancelled"
    refund = ask(sale)
    work()
    work()
    assert states(sale) == [("CANCELLED", "gateway", False)]
    assert reserved(sale) == 0
    with pytest.raises(RefundProblemError, match="Say how"):
        refund_paid_otherwise(refund=refund, user_id=None, message=" ")
    new = refund_paid_otherwise(refund=refund, user_id=None, message="By bank transfer")
    assert (new.method, new.message, new.replaces) == ("manual", "By bank transfer", refund)
    assert states(sale) == [("CANCELLED", "gateway", True), ("SUCCEEDED", "", True)]
    assert reserved(sale) == D("12.50")
    work()
    assert len(bank.sent) == 1


@pytest.mark.parametrize("paid", [True, False])
def test_a_person_decides_what_the_gateway_has_forgotten(
    sale: Sale, bank: FakeGateway, *, paid: bool
) -> None:
    bank.behaviour = "no answer"
    refund = ask(sale)
    work()
    age(refund, hours=24)
    work()
    refund_resolve(refund=refund, paid=paid)
    if paid:
        assert states(sale) == [("SUCCEEDED", "", True)]
        assert reserved(sale) == D("12.50")
    else:
        assert states(sale) == [("FAILED", "human", False)]
        assert reserved(sale) == 0
    with pytest.raises(RefundProblemError, match="dealt with"):
        refund_resolve(refund=refund, paid=paid)


def test_a_change_is_applied_once(sale: Sale, bank: FakeGateway, settings: Any) -> None:
    key = payment_of(sale).key
    bank.dispute(key, "opened")
    bank.dispute(key, "closed")
    changes.follow()
    position = GatewayPosition.objects.get(gateway=settings.GATEWAY_NAME)
    assert position.change == 2
    changes._take(bank.changes[0])  # by a worker that has read the list earlier
    assert payment_of(sale).disputed_at is None


def test_a_change_that_cannot_be_applied_does_not_stop_the_others(
    sale: Sale, bank: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(sale)
    work()
    bank.dispute(payment_of(sale).key, "opened")
    bank.set(bank.rows[0], RefundStatus.FAILED)

    def broken(**_: object) -> None:
        raise ValueError

    monkeypatch.setattr(changes, "payment_dispute", broken)
    changes.follow()
    assert states(sale)[0] == ("FAILED", "gateway", True)
    assert GatewayPosition.objects.get().change == len(bank.changes)


def test_changes_of_refunds_that_the_shop_does_not_know(sale: Sale, bank: FakeGateway) -> None:
    ask(sale)
    work()
    bank.set(bank.rows[0], RefundStatus.FAILED)
    Refund.objects.update(reference="RF-OTHER")
    work()
    assert states(sale) == [("SUCCEEDED", "", True)]
