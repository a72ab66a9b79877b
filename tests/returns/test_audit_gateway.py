"""Refunds compared with the gateway's ledger, over HTTP; each broken record is named."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import requests
from django.utils import timezone

from orders.models import Payment
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments import gateway
from payments.gateway import Charge
from retail.audit import runner
from returns import audit_gateway, changes, refunding
from returns.models import Refund
from returns.refunds import refund_request
from tests.audits import open_violations
from tests.gateway_simulator.support import ANSWER_SECONDS, FAULTS
from tests.payments.conftest import gateway_process
from tests.returns.conftest import due
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.gateway_simulator.support import Process

__all__ = ["gateway_process"]

pytestmark = pytest.mark.django_db
SUMS, ROWS = "refunds_match_gateway", "gateway_refund_has_row"
D = Decimal


@pytest.fixture(autouse=True)
def _gateway(gateway_process: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway_process.knobs()
    settings.GATEWAY_URL = gateway_process.url
    monkeypatch.setattr(changes, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(audit_gateway, "UNREAD", timedelta(seconds=-5))


@pytest.fixture
def payment() -> Payment:
    """Return a payment of 30.00, charged at the gateway."""
    lamp = make_product("Lamp", "10.00", 100)
    payment = reserve(order_for(make_buyer(uuid.uuid4().hex[:8]), lamp, 3), uuid.uuid4().hex)[1]
    charge = Charge(payment.key, payment.amount, payment.currency, "tok_good", "VT-TEST")
    assert payment_settle(payment=payment, answer=gateway.charge(charge))
    return payment


def ask(payment: Payment, amount: str = "5.00") -> Refund:
    return refund_request(payment=payment, amount=D(amount), reason="goodwill")


def work() -> None:
    due()
    for refund in refunding.claim(timezone.now()):
        refunding.finish(refund)
    changes.follow()


def set_state(process: Process, state: str) -> None:
    """Change the newest refund at the gateway, as a bank would."""
    refund_id = process.get("/v1/refunds").json()["refunds"][-1]["refund_id"]
    url = f"{process.url}/refunds/{refund_id}/state"
    answer = requests.post(url, json={"state": state}, headers=FAULTS, timeout=ANSWER_SECONDS)
    answer.raise_for_status()


def all_violations() -> dict[str, dict[str, str]]:
    found = {name: open_violations(name, full=True) for name in (SUMS, ROWS)}
    return {name: rows for name, rows in found.items() if rows}


@pytest.mark.parametrize("state", ["paid", "on its way", "failed", "not sent", "lost"])
def test_books_that_agree(gateway_process: Process, payment: Payment, state: str) -> None:
    if state == "on its way":
        gateway_process.knobs(refund_pending_ms=600_000)
    elif state == "failed":
        gateway_process.knobs(refund_fail_share=1)
    elif state == "lost":
        gateway_process.knobs(lost_answer_share=1)
    ask(payment)
    ask(payment, "7.00")
    if state == "lost":  # and the list is not read yet
        due()
        for refund in refunding.claim(timezone.now()):
            refunding.finish(refund)
        assert {row.status for row in Refund.objects.all()} == {"UNKNOWN"}
    elif state != "not sent":
        work()
    assert all_violations() == {}


def test_another_sum_at_the_gateway(gateway_process: Process, payment: Payment) -> None:
    """Somebody refunded on the gateway's own page."""
    ask(payment)
    work()
    body = {"charge_key": payment.key, "amount": "2.00"}
    refund_id = gateway_process.post("/v1/refunds", uuid.uuid4().hex, body).json()["refund_id"]
    assert all_violations() == {
        SUMS: {payment.key: "the gateway refunded 7.00, our refunds sum to 5.00"},
        ROWS: {refund_id: f"refunded 2.00 of {payment.key}, no refund"},
    }


def test_a_failure_that_was_not_read(gateway_process: Process, payment: Payment) -> None:
    ask(payment)
    work()
    set_state(gateway_process, "failed")
    expected = {SUMS: {payment.key: "the gateway refunded 0.00, our refunds sum to 5.00"}}
    assert all_violations() == expected
    work()  # reads the failure, and replaces the refund
    work()
    assert all_violations() == {}


def test_what_has_just_changed_is_not_reported_yet(
    gateway_process: Process, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_gateway, "UNREAD", timedelta(minutes=2))
    ask(payment)
    work()
    set_state(gateway_process, "failed")
    assert all_violations() == {}


def test_refunds_that_the_shop_holds_for_failed(payment: Payment) -> None:
    refund = ask(payment)
    work()
    Refund.objects.update(status="FAILED", failure="gateway", settled_at=None)
    [(subject, detail)] = all_violations()[ROWS].items()
    assert subject.startswith("re_")
    recorded = f"{refund.reference} 5.00 FAILED"
    assert detail == f"refunded 5.00 of {payment.key}, refund {recorded}"


def test_another_amount(payment: Payment) -> None:
    refund = ask(payment)
    work()
    Refund.objects.update(amount=D("6.00"))
    assert all_violations()[SUMS] == {
        payment.key: "the gateway refunded 5.00, our refunds sum to 6.00"
    }
    assert [*all_violations()[ROWS].values()] == [
        f"refunded 5.00 of {payment.key}, refund {refund.reference} 6.00 SUCCEEDED"
    ]


def test_manual_refunds_are_not_the_gateways(payment: Payment) -> None:
    ask(payment)
    Refund.objects.update(status="SUCCEEDED", method="manual", settled_at=timezone.now())
    assert all_violations() == {}


def test_refunds_of_another_gateway_are_not_compared(payment: Payment) -> None:
    ask(payment)
    work()
    Refund.objects.update(amount=D("6.00"))
    Payment.objects.update(gateway="earlier.example")
    assert SUMS not in all_violations()


def test_without_an_answer_nothing_is_checked(gateway_process: Process, payment: Payment) -> None:
    ask(payment)
    gateway_process.knobs(off=True)
    reports = runner.audit([SUMS, ROWS], full=True)
    assert all("does not answer" in report.problem for report in reports)
