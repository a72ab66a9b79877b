"""What each event of returns and refunds moves: counters, rows and log lines."""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from retail.models import Metric
from retail.observability.rows.recorder import recorder
from returns import metrics
from returns.measures import REFUND_STATES
from returns.models import Refund, Return
from returns.unsettled import refunds_by_state, state_of
from tests.returns.rows import make_paid, make_refund, make_return
from tests.support import moved

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orders.models import Payment

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(buyer: User) -> Payment:
    return make_paid(buyer)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "retail.returns"
    ]


def extra(caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    (record,) = [record for record in caplog.records if record.name == "retail.returns"]
    return vars(record)


def test_a_refund_paid_out(payment: Payment, caplog: pytest.LogCaptureFixture) -> None:
    now = timezone.now()
    refund = make_refund(
        payment,
        "SUCCEEDED",
        amount=Decimal("12.30"),
        created_at=now - timedelta(hours=2),
        settled_at=now,
        reason="return",
    )
    caplog.set_level(logging.INFO)
    with moved() as changes:
        metrics.record_refund_settled(refund)
    assert changes == {
        'retail_refunds_total{outcome="succeeded"}': 1,
        'retail_refund_amount_total{currency="EUR"}': 12.30,
        "retail_refund_settled_seconds_count": 1,
    }
    recorder.flush()
    (row,) = Metric.objects.all()
    facts = {
        "refund_ref": refund.reference,
        "order_ref": payment.sale.reference,
        "amount": "12.30",
        "currency": "EUR",
        "reason": "return",
    }
    assert (row.metric_type, row.value, row.metadata) == ("refunds_per_day", 1, facts)
    assert lines(caplog) == [("INFO", "event=refund.settled")]
    assert {**facts, "seconds": 7200.0}.items() <= extra(caplog).items()


def test_a_requested_refund(
    payment: Payment, buyer: User, caplog: pytest.LogCaptureFixture
) -> None:
    refund = make_refund(payment, requested_by=buyer)
    caplog.set_level(logging.INFO)
    with moved() as changes:
        metrics.record_refund_requested(refund)
    assert changes == {'retail_refunds_total{outcome="requested"}': 1}
    assert lines(caplog) == [("INFO", "event=refund.requested")]
    assert {"method": "gateway", "user_id": buyer.pk}.items() <= extra(caplog).items()


@pytest.mark.parametrize(("status", "outcome"), [("FAILED", "failed"), ("CANCELLED", "cancelled")])
@pytest.mark.parametrize("was_paid", [False, True])
def test_a_refund_that_ends_without_money(
    payment: Payment, status: str, outcome: str, was_paid: bool, caplog: pytest.LogCaptureFixture
) -> None:
    refund = make_refund(payment, status, failure="gateway")
    with moved() as changes:
        metrics.record_refund_ended(refund, was_paid)
    assert changes == {f'retail_refunds_total{{outcome="{outcome}"}}': 1}
    assert lines(caplog) == [("WARNING", "event=refund.failed")]
    facts = {"status": status, "failure": "gateway", "was_paid": was_paid}
    assert facts.items() <= extra(caplog).items()
    recorder.flush()
    assert not Metric.objects.exists()


def test_a_refund_for_a_person(payment: Payment, caplog: pytest.LogCaptureFixture) -> None:
    refund = make_refund(payment, "NEEDS_HUMAN", attempts=4)
    with moved() as changes:
        metrics.record_refund_needs_human(refund)
    assert changes == {'retail_refunds_total{outcome="needs_human"}': 1}
    assert lines(caplog) == [("WARNING", "event=refund.needs_human")]
    assert {"refund_key": refund.key, "attempts": 4}.items() <= extra(caplog).items()


@pytest.mark.parametrize("status", Return.Status.values)
def test_a_return_by_its_status(
    payment: Payment, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_return(payment, status)
    caplog.set_level(logging.INFO)
    with moved() as changes:
        metrics.record_return(made)
    assert changes == {f'retail_returns_total{{status="{status}"}}': 1}
    assert lines(caplog) == [("INFO", f"event=return.{status}")]
    facts = {"return_ref": made.reference, "order_ref": payment.sale.reference}
    assert facts.items() <= extra(caplog).items()


def gauges() -> dict[str, dict[tuple[str, ...], float]]:
    """Return the gauges' samples that are not 0, by name."""
    read = metrics.read_refunds()
    return {
        gauge.name: {labels: value for labels, value in samples.items() if value}
        for gauge, samples in read.items()
    }


def test_without_refunds_every_gauge_has_its_series(db: None) -> None:
    read = metrics.read_refunds()
    assert [set(samples.values()) for samples in read.values()] == [{0}] * 5
    states = {(state,) for state in REFUND_STATES}
    assert set(read[metrics.REFUNDS_UNSETTLED]) == set(read[metrics.REFUNDS_OLDEST]) == states


def test_unsettled_refunds_by_state_with_the_oldest(
    payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    ages = {"REQUESTED": 10, "UNKNOWN": 20, "PENDING": 30, "NEEDS_HUMAN": 40, "FAILED": 50}
    for status, seconds in ages.items():
        for age in (seconds, seconds - 5):
            make_refund(payment, status, created_at=now - timedelta(seconds=age))
    cancelled = make_refund(payment, "CANCELLED", created_at=now - timedelta(seconds=60))
    # Settled: paid out, or replaced by another refund.
    make_refund(payment, "SUCCEEDED", created_at=now - timedelta(days=3))
    failed = make_refund(payment, "FAILED", settled_at=now, created_at=now - timedelta(days=3))
    make_refund(payment, "PENDING", replaces=failed, created_at=now)
    assert gauges() == {
        "retail_refunds_unsettled": {
            ("requested",): 2,
            ("unknown",): 2,
            ("pending",): 3,
            ("needs_human",): 2,
            ("owed",): 3,
        },
        "retail_refunds_unsettled_oldest_seconds": {
            ("requested",): 10,
            ("unknown",): 20,
            ("pending",): 30,
            ("needs_human",): 40,
            ("owed",): 60,
        },
        "retail_refunds_reopened": {(): 6},  # two for a person, three owed, one tried again
        "retail_returns_waiting": {},
        "retail_returns_oldest_seconds": {},
    }
    Refund.objects.filter(pk=cancelled.pk).update(settled_at=now)
    assert gauges()["retail_refunds_unsettled_oldest_seconds"][("owed",)] == 50


def test_each_state_is_that_of_its_rows(payment: Payment) -> None:
    for status in Refund.Status.values:
        refund = make_refund(payment, status)
        expected = [] if status == "SUCCEEDED" else [state_of(refund)]
        assert [row.state for row in refunds_by_state()] == expected, status
        refund.delete()
    replaced = make_refund(payment, "FAILED", settled_at=timezone.now())
    assert state_of(replaced) == "failed"


def test_returns_that_wait(payment: Payment, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for number, status in enumerate(Return.Status.values, 1):
        make_return(payment, status, requested_at=now - timedelta(hours=number))
    make_return(payment, "requested", requested_at=now - timedelta(days=2))
    read = gauges()
    assert read["retail_returns_waiting"] == {
        ("requested",): 2,
        ("approved",): 1,
        ("received",): 1,
    }
    assert read["retail_returns_oldest_seconds"] == {
        ("requested",): 48 * 3600,
        ("approved",): 2 * 3600,
        ("received",): 5 * 3600,
    }
