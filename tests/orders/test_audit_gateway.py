"""What is compared with the gateway's ledger: over HTTP with a real one, whose file is tampered."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import F

from orders import audit as sale_audit
from orders.models import Payment
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments import gateway, selectors
from payments.services import Answer, Charge
from retail.audit import runner
from retail.models import AuditCheck, AuditViolation
from tests.audits import found, reached
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
    made = Process(tmp_path_factory.mktemp("gateway")).start()
    yield made
    made.stop()


class Ledger:
    """The file of a running gateway's ledger, behind its back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def do(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(sql, values)

    def age(self, minutes: float = 10) -> None:
        """Let its rows and our payments be so much older."""
        for table in ("charges", "refunds"):
            ago = f"-{minutes} minutes"
            self.do(
                f"UPDATE {table} SET created_at ="  # noqa: S608 - one of two
                " strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at, ?)",
                ago,
            )
        Payment.objects.update(created_at=F("created_at") - timedelta(minutes=minutes))


@pytest.fixture
def ledger(process: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Return an empty ledger of a gateway that the shop's settings name; pages have two rows."""
    settings.GATEWAY_URL = process.url
    for name in ("PAGE", "KEYS"):
        monkeypatch.setattr(selectors, name, 2)
    monkeypatch.setattr(sale_audit, "CHUNK", 2)
    made = Ledger(process.folder / "ledger.sqlite3")
    for table in ("refunds", "charges", "sqlite_sequence"):
        made.do(f"DELETE FROM {table}")  # noqa: S608 - one of three
    return made


def charge(payment: Payment, token: str = "tok_good") -> Answer:
    wanted = Charge(payment.key, payment.amount, payment.currency, token, "VT-TEST")
    return gateway.charge(wanted)


def make_payments(count: int, *, settled: bool = True) -> list[Payment]:
    buyer, lamp = make_buyer(), make_product("Lamp", "10.00", 100)
    made = [reserve(order_for(buyer, lamp), uuid.uuid4().hex)[1] for _ in range(count)]
    for payment in made if settled else []:
        assert payment_settle(payment=payment, answer=charge(payment))
    return made


def refund(process: Process, payment: Payment, amount: str) -> None:
    body = {"charge_key": payment.key, "amount": amount}
    assert process.post("/v1/refunds", uuid.uuid4().hex, body).status_code == 200


def everything(*, full: bool = False) -> dict[str, dict[str, str]]:
    return {name: found(name, full=full) for name in ALL if found(name, full=full)}


def test_a_ledger_that_agrees_row_by_row_is_right(ledger: Ledger, process: Process) -> None:
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
    assert [(one.checked, one.subjects, one.problem) for one in reports] == [
        (6, (), ""),
        (6, (), ""),
        (2, (), ""),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"amount": Decimal("9.99")}, "payment 9.99 EUR COMPLETED"),
        ({"currency": "USD"}, "payment 10.00 USD COMPLETED"),
        ({"status": "FAILED"}, "payment 10.00 EUR FAILED"),
    ],
)
def test_a_charge_that_our_payment_does_not_match_is_found_and_resolved(
    ledger: Ledger, changes: dict[str, Any], told: str
) -> None:
    _, bad = make_payments(2)
    Payment.objects.filter(pk=bad.pk).update(**changes)
    assert found(RECORDED) == {bad.key: f"charged 10.00 EUR, {told}"}
    Payment.objects.filter(pk=bad.pk).update(amount=10, currency="EUR", status="COMPLETED")
    assert found(RECORDED) == {}


def test_a_charge_without_a_payment_is_found(ledger: Ledger) -> None:
    make_payments(2)
    stray = Charge("stray", Decimal("3.5"), "EUR", "tok_good", "VT-GONE")
    assert gateway.charge(stray) is Answer.APPROVED
    assert everything() == {RECORDED: {"stray": "charged 3.50 EUR, no payment"}}


@pytest.mark.parametrize("status", ["PENDING", "UNKNOWN"])
def test_a_charge_may_wait_for_its_payment_until_the_deadline(ledger: Ledger, status: str) -> None:
    waiting, paid = make_payments(2, settled=False)
    for payment in (waiting, paid):
        charge(payment)
    payment_settle(payment=paid, answer=Answer.APPROVED)
    Payment.objects.filter(pk=waiting.pk).update(status=status)
    ledger.age(14)
    assert found(RECORDED) == {}
    assert reached(RECORDED) == 0  # it waits with it
    ledger.age(2)
    assert found(RECORDED) == {
        waiting.key: f"charged 10.00 EUR, payment 10.00 EUR {status}",
    }
    assert reached(RECORDED) == 2
    payment_settle(payment=waiting, answer=Answer.APPROVED)
    assert found(RECORDED) == {}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM charges WHERE key = ?", "no charge"),
        ("UPDATE charges SET hundredths = 999 WHERE key = ?", "charged 9.99 EUR"),
        ("UPDATE charges SET currency = 'USD' WHERE key = ?", "charged 10.00 USD"),
        ("UPDATE charges SET status = 'declined', charge_id = NULL WHERE key = ?", "no charge"),
    ],
)
def test_a_payment_that_the_gateway_does_not_know_is_found_and_resolved(
    ledger: Ledger, sql: str, told: str
) -> None:
    _, bad, _ = make_payments(3)
    ledger.do(sql, bad.key)
    assert found(CHARGED) == {bad.key: f"payment 10.00 EUR COMPLETED, {told}"}
    ledger.do("DELETE FROM charges WHERE key = ?", bad.key)
    charge(bad)
    assert found(CHARGED) == {}


def test_a_charge_of_which_more_is_given_back_than_taken_is_found(
    ledger: Ledger, process: Process
) -> None:
    fine, over, gone = make_payments(3)
    refund(process, fine, "10.00")
    refund(process, over, "6.00")
    refund(process, gone, "1.00")
    assert found(REFUNDED) == {}
    ledger.do("UPDATE charges SET hundredths = 599 WHERE key = ?", over.key)
    ledger.do("DELETE FROM charges WHERE key = ?", gone.key)
    assert found(REFUNDED) == {
        over.key: "refunded 6.00, captured 5.99",
        gone.key: "refunded an unknown charge, captured 0",
    }
    ledger.do("UPDATE charges SET hundredths = 600 WHERE key = ?", over.key)
    ledger.do("DELETE FROM refunds WHERE charge_key = ?", gone.key)
    charge(gone)
    assert found(REFUNDED) == {}


def test_looks_go_on_where_they_were_and_full_ones_see_what_is_old(
    ledger: Ledger, process: Process
) -> None:
    old = make_payments(3)
    for payment in old:
        refund(process, payment, "1.00")
    ledger.age()
    assert everything() == {}
    assert [reached(name) for name in (RECORDED, REFUNDED)] == [3, 3]
    assert reached(CHARGED) == old[-1].pk
    reports = runner.audit(ALL)
    assert [report.checked for report in reports] == [0, 0, 0]
    ledger.do("UPDATE charges SET hundredths = 50 WHERE key = ?", old[0].key)
    assert everything() == {}
    wrong = {
        RECORDED: {old[0].key: "charged 0.50 EUR, payment 10.00 EUR COMPLETED"},
        CHARGED: {old[0].key: "payment 10.00 EUR COMPLETED, charged 0.50 EUR"},
        REFUNDED: {old[0].key: "refunded 1.00, captured 0.50"},
    }
    assert everything(full=True) == wrong
    assert everything() == wrong


def test_while_the_gateway_is_away_nothing_is_said_about_it(
    ledger: Ledger, process: Process, lines: Lines
) -> None:
    bad, fine = make_payments(2)
    Payment.objects.filter(pk=bad.pk).update(amount=1)
    assert everything() != {}
    before = list(AuditCheck.objects.filter(pk__in=ALL).order_by("pk").values())
    Payment.objects.filter(pk=bad.pk).update(amount=10)
    Payment.objects.filter(pk=fine.pk).update(amount=1)
    process.knobs(off=True)
    try:
        lines().clear()
        reports = runner.audit()
    finally:
        process.knobs()
    unchecked = {one.invariant for one in reports if one.problem}
    assert unchecked == set(ALL)
    assert list(AuditCheck.objects.filter(pk__in=ALL).order_by("pk").values()) == before
    of_gateway = AuditViolation.objects.filter(invariant__in=ALL, resolved_at=None)
    assert set(of_gateway.values_list("subject", flat=True)) == {bad.key}
    warnings = [line for line in lines() if line["message"] == "event=audit.not_checked"]
    assert [line["extra"]["invariants"] for line in warnings] == [sorted(ALL)]
    assert warnings[0]["level"] == "WARNING"
    assert warnings[0]["extra"]["reason"].startswith("the gateway does not answer: ")
    assert set(found(RECORDED)) == set(found(CHARGED)) == {fine.key}


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
def test_a_ledger_that_makes_no_sense_is_no_answer(
    rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "read", lambda *_: rows)
    (report,) = runner.audit([RECORDED])
    assert report.problem.startswith("the gateway does not answer: a ledger that makes no sense")
