"""A refund's life, from its request to its end, whatever the gateway does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from payments.refunds import RefundStatus
from payments.services import BreakerOpenError
from returns import changes, refunding
from returns.errors import RefundProblemError
from returns.models import GatewayPosition, Refund
from returns.refunds import (
    refund_paid_otherwise,
    refund_resolve,
    refund_retry,
)
from tests.returns.conftest import age, due, work
from tests.returns.money import D, ask, emails, payment_of, reserved, states

if TYPE_CHECKING:
    from orders.models import Sale
    from tests.returns.gateway import FakeGateway

pytestmark = pytest.mark.django_db


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
    assert reserved(sale) == bank.paid(payment_of(sale).key) == 0
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
