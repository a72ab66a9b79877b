"""Audits against the gateway's ledger: over HTTP, with a simulator whose file is tampered with."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import F

from orders import audit_gateway
from orders.models import Payment
from orders.reservation import reserve
from orders.selectors import OVERDUE
from orders.settlement import payment_settle
from payments import gateway, selectors
from payments.services import Answer, Charge
from retail.audit import runner
from retail.models import AuditCheck, AuditViolation
from tests.audits import checkpoint_of, open_violations
from tests.gateway_simulator.support import Process
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_django import Settings

    from tests.retail.conftest import Lines

pytestmark = pytest.mark.django_db

RECORDED, CHARGED, REFUNDED = "charge_has_payment", "payment_has_charge", "refunds_within_captured"
ALL = [RECORDED, CHARGED, REFUNDED]


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    gateway_process = Process(tmp_path_factory.mktemp("gateway")).start()
    yield gateway_process
    gateway_process.stop()


class Ledger:
    """Direct access to the ledger file of a running gateway."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def execute(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(sql, values)

    def age(self, minutes: float = 10) -> None:
        """Make the ledger's rows and our payments older."""
        for table in ("charges", "refunds"):
            ago = f"-{minutes} minutes"
            self.execute(
                f"UPDATE {table} SET created_at ="  # noqa: S608 - one of two
                " strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at, ?)",
                ago,
            )
        Payment.objects.update(created_at=F("created_at") - timedelta(minutes=minutes))


@pytest.fixture
def ledger(process: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Return the empty ledger of the gateway in the settings; a page has two rows."""
    settings.GATEWAY_URL = process.url
    for name in ("PAGE", "KEYS"):
        monkeypatch.setattr(selectors, name, 2)
    monkeypatch.setattr(audit_gateway, "CHUNK", 2)
    empty = Ledger(process.folder / "ledger.sqlite3")
    for table in ("plans", "changes", "refunds", "charges", "sqlite_sequence"):
        empty.execute(f"DELETE FROM {table}")  # noqa: S608 - one of five
    return empty


def charge(payment: Payment, token: str = "tok_good") -> Answer:
    request = Charge(payment.key, payment.amount, payment.currency, token, "VT-TEST")
    return gateway.charge(request)


def make_payments(count: int, *, settled: bool = True) -> list[Payment]:
    buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 100)
    payments = [reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1] for _ in range(count)]
    for payment in payments if settled else []:
        assert payment_settle(payment=payment, answer=charge(payment))
    return payments


def refund(process: Process, payment: Payment, amount: str) -> None:
    body = {"charge_key": payment.key, "amount": amount}
    assert process.post("/v1/refunds", uuid.uuid4().hex, body).status_code == 200


def all_violations(*, full: bool = False) -> dict[str, dict[str, str]]:
    return {
        name: open_violations(name, full=full) for name in ALL if open_violations(name, full=full)
    }


def test_a_ledger_that_matches_row_by_row_passes(ledger: Ledger, process: Process) -> None:
    paid = make_payments(3)
    refund(process, paid[0], "4.00")
    refund(process, paid[0], "6.00")
    buyer, lamp = make_buyer("other"), make_product("Desk", "5.00", 100)
    declined = reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1]
    assert payment_settle(payment=declined, answer=charge(declined, "tok_declined"))
    cancelled = reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1]
    assert payment_settle(payment=cancelled, answer=gateway.cancel(cancelled.key))
    waiting = reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1]
    assert charge(waiting) is Answer.APPROVED  # the answer has not arrived, but there is time
    reports = runner.audit(ALL)
    assert [(report.checked, report.subjects, report.problem) for report in reports] == [
        (6, (), ""),
        (6, (), ""),
        (2, (), ""),
    ]


@pytest.mark.parametrize(
    ("changes", "recorded"),
    [
        ({"amount": Decimal("9.99")}, "payment 9.99 EUR COMPLETED"),
        ({"currency": "USD"}, "payment 10.00 USD COMPLETED"),
        ({"status": "FAILED"}, "payment 10.00 EUR FAILED"),
    ],
)
def test_a_charge_that_our_payment_does_not_match_is_found_and_resolved(
    ledger: Ledger, changes: dict[str, Any], recorded: str
) -> None:
    _, bad = make_payments(2)
    Payment.objects.filter(pk=bad.pk).update(**changes)
    assert open_violations(RECORDED) == {bad.key: f"charged 10.00 EUR, {recorded}"}
    Payment.objects.filter(pk=bad.pk).update(amount=10, currency="EUR", status="COMPLETED")
    assert open_violations(RECORDED) == {}


def test_a_charge_without_a_payment_is_found(ledger: Ledger) -> None:
    make_payments(2)
    stray = Charge("stray", Decimal("3.5"), "EUR", "tok_good", "VT-GONE")
    assert gateway.charge(stray) is Answer.APPROVED
    assert all_violations() == {RECORDED: {"stray": "charged 3.50 EUR, no payment"}}


@pytest.mark.parametrize("status", ["PENDING", "UNKNOWN"])
def test_a_charge_may_wait_for_its_payment_until_the_deadline(ledger: Ledger, status: str) -> None:
    waiting, paid = make_payments(2, settled=False)
    for payment in (waiting, paid):
        charge(payment)
    payment_settle(payment=paid, answer=Answer.APPROVED)
    Payment.objects.filter(pk=waiting.pk).update(status=status)
    ledger.age(14)
    assert open_violations(RECORDED) == {}
    assert checkpoint_of(RECORDED) == 0  # the checkpoint waits for it
    ledger.age(2)
    assert open_violations(RECORDED) == {
        waiting.key: f"charged 10.00 EUR, payment 10.00 EUR {status}",
    }
    assert checkpoint_of(RECORDED) == 2
    payment_settle(payment=waiting, answer=Answer.APPROVED)
    assert open_violations(RECORDED) == {}


@pytest.mark.parametrize(
    ("sql", "charged"),
    [
        ("DELETE FROM charges WHERE key = ?", "no charge"),
        ("UPDATE charges SET hundredths = 999 WHERE key = ?", "charged 9.99 EUR"),
        ("UPDATE charges SET currency = 'USD' WHERE key = ?", "charged 10.00 USD"),
        ("UPDATE charges SET status = 'declined', charge_id = NULL WHERE key = ?", "no charge"),
    ],
)
def test_a_payment_without_a_matching_charge_is_found_and_resolved(
    ledger: Ledger, sql: str, charged: str
) -> None:
    _, bad, _ = make_payments(3)
    ledger.execute(sql, bad.key)
    assert open_violations(CHARGED) == {bad.key: f"payment 10.00 EUR COMPLETED, {charged}"}
    ledger.execute("DELETE FROM charges WHERE key = ?", bad.key)
    charge(bad)
    assert open_violations(CHARGED) == {}


def test_a_charge_refunded_beyond_its_amount_is_found(ledger: Ledger, process: Process) -> None:
    fine, over, gone = make_payments(3)
    refund(process, fine, "10.00")
    refund(process, over, "6.00")
    refund(process, gone, "1.00")
    assert open_violations(REFUNDED) == {}
    ledger.execute("UPDATE charges SET hundredths = 599 WHERE key = ?", over.key)
    ledger.execute("DELETE FROM charges WHERE key = ?", gone.key)
    assert open_violations(REFUNDED) == {
        over.key: "refunded 6.00, captured 5.99",
        gone.key: "refunded an unknown charge, captured 0",
    }
    ledger.execute("UPDATE charges SET hundredths = 600 WHERE key = ?", over.key)
    ledger.execute("DELETE FROM refunds WHERE charge_key = ?", gone.key)
    charge(gone)
    assert open_violations(REFUNDED) == {}


def test_scans_resume_at_the_checkpoint_and_full_scans_start_over(
    ledger: Ledger, process: Process
) -> None:
    old = make_payments(3)
    for payment in old:
        refund(process, payment, "1.00")
    ledger.age()
    assert all_violations() == {}
    assert [checkpoint_of(name) for name in (RECORDED, REFUNDED)] == [3, 3]
    assert checkpoint_of(CHARGED) == old[-1].pk
    reports = runner.audit(ALL)
    assert [report.checked for report in reports] == [0, 0, 0]
    ledger.execute("UPDATE charges SET hundredths = 50 WHERE key = ?", old[0].key)
    assert all_violations() == {}
    wrong = {
        RECORDED: {old[0].key: "charged 0.50 EUR, payment 10.00 EUR COMPLETED"},
        CHARGED: {old[0].key: "payment 10.00 EUR COMPLETED, charged 0.50 EUR"},
        REFUNDED: {old[0].key: "refunded 1.00, captured 0.50"},
    }
    assert all_violations(full=True) == wrong
    assert all_violations() == wrong


def test_a_payment_settled_behind_the_checkpoint_is_still_compared(ledger: Ledger) -> None:
    waiting, paid = make_payments(2, settled=False)
    payment_settle(payment=paid, answer=charge(paid))
    ledger.age()
    assert open_violations(CHARGED) == {}
    assert checkpoint_of(CHARGED) < waiting.pk
    payment_settle(payment=waiting, answer=Answer.APPROVED)  # without a charge
    assert open_violations(CHARGED) == {waiting.key: "payment 10.00 EUR COMPLETED, no charge"}


def test_each_range_of_payments_is_compared_once(ledger: Ledger) -> None:
    payments = make_payments(5)
    ledger.execute("DELETE FROM charges")
    parts = list(audit_gateway.payment_has_charge({}))
    found = [[violation.subject for violation in part.violations] for part in parts]
    keys = [payment.key for payment in payments]
    assert found == [keys[:2], keys[2:4], keys[4:]]
    assert [part.checked for part in parts] == [2, 2, 1]


def test_a_recheck_reads_only_the_given_keys(ledger: Ledger) -> None:
    first, second, third = make_payments(3)
    ledger.execute("DELETE FROM charges")
    Payment.objects.filter(pk=third.pk).update(status="FAILED")
    assert [one.subject for one in audit_gateway.payment_has_charge_of([first.key])] == [first.key]
    assert audit_gateway.payment_has_charge_of([third.key]) == []
    for payment in (first, second):
        charge(payment)
    charges = selectors.gateway_charges_of(keys=[first.key]).values()
    assert set(audit_gateway._payments_of(charges)) == {first.key}


def test_a_charge_is_overdue_exactly_at_the_payments_deadline(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    (waiting,) = make_payments(1, settled=False)
    now = waiting.created_at + OVERDUE
    monkeypatch.setattr("orders.audit_gateway.timezone.now", lambda: now)
    assert not audit_gateway._in_time(waiting)
    waiting.created_at += timedelta(microseconds=1)
    assert audit_gateway._in_time(waiting)


def test_without_the_gateway_its_invariants_are_reported_as_not_checked(
    ledger: Ledger, process: Process, lines: Lines
) -> None:
    bad, fine = make_payments(2)
    Payment.objects.filter(pk=bad.pk).update(amount=1)
    assert all_violations() != {}
    before = list(AuditCheck.objects.filter(pk__in=ALL).order_by("pk").values())
    Payment.objects.filter(pk=bad.pk).update(amount=10)
    Payment.objects.filter(pk=fine.pk).update(amount=1)
    process.knobs(off=True)
    try:
        lines().clear()
        reports = runner.audit()
    finally:
        process.knobs()
    unchecked = {report.invariant for report in reports if report.problem}
    others = {"gateway_refund_has_row"}  # returns/audit_gateway.py
    assert unchecked == {*ALL, *others}
    assert list(AuditCheck.objects.filter(pk__in=ALL).order_by("pk").values()) == before
    of_gateway = AuditViolation.objects.filter(invariant__in=ALL, resolved_at=None)
    assert set(of_gateway.values_list("subject", flat=True)) == {bad.key}
    warnings = [line for line in lines() if line["message"] == "event=audit.not_checked"]
    assert [line["extra"]["invariants"] for line in warnings] == [sorted({*ALL, *others})]
    assert warnings[0]["level"] == "WARNING"
    assert warnings[0]["extra"]["reason"].startswith("the gateway does not answer: ")
    assert set(open_violations(RECORDED)) == set(open_violations(CHARGED)) == {fine.key}


@pytest.mark.parametrize(
    "rows",
    [
        {},
        [],
        {"charges": 3},
        {"charges": [{"id": 1}]},
        {"charges": [{"id": "x", "key": "k", "status": "approved"}]},
        {
            "charges": [
                {
                    "id": 1,
                    "key": "k",
                    "status": "approved",
                    "currency": "EUR",
                    "amount": "much",
                    "refunded": "0",
                    "created_at": "2026-01-01T00:00:00+00:00",
                }
            ]
        },
    ],
)
def test_an_invalid_ledger_row_is_no_answer(rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "read", lambda *_: rows)
    (report,) = runner.audit([RECORDED])
    assert report.problem.startswith("the gateway does not answer: invalid ledger row")
