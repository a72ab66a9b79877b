"""The health check of refunds: each state, its text and its step."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from retail.health import Finding, Harm, health
from retail.thresholds import THRESHOLDS
from returns.health import refunds
from tests.dashboards.support import checks
from tests.returns.rows import make_paid, make_refund

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

    from orders.models import Payment

pytestmark = pytest.mark.django_db

NOW = timezone.now()
SOON = THRESHOLDS.refunds.most_age_seconds
LATE = THRESHOLDS.refunds.pending_most_age_seconds


@pytest.fixture
def payment(buyer: User) -> Payment:
    return make_paid(buyer)


def refund(payment: Payment, status: str, seconds: float, **fields: object) -> None:
    make_refund(payment, status, created_at=NOW - timedelta(seconds=seconds), **fields)


def short(finding: Finding) -> tuple[str, str, str]:
    return finding.state, finding.word, finding.runbook


def test_no_refund(payment: Payment) -> None:
    refund(payment, "SUCCEEDED", 9 * LATE)
    assert short(refunds(NOW)) == ("good", "none", "")


@pytest.mark.parametrize(
    ("status", "seconds", "expected"),
    [
        ("REQUESTED", SOON, ("good", "on the way", "")),
        ("REQUESTED", SOON + 1, ("bad", "stuck", "RetailRefundStuck")),
        ("UNKNOWN", SOON, ("warn", "no answer yet", "")),
        ("UNKNOWN", SOON + 1, ("bad", "stuck", "RetailRefundStuck")),
        ("PENDING", LATE, ("good", "on the way", "")),
        ("PENDING", LATE + 1, ("bad", "stuck", "RetailRefundStuck")),
        ("NEEDS_HUMAN", 0, ("bad", "money is owed", "RetailRefundFailed")),
        ("FAILED", 0, ("bad", "money is owed", "RetailRefundFailed")),
        ("CANCELLED", 0, ("bad", "money is owed", "RetailRefundFailed")),
    ],
)
def test_one_refund(
    payment: Payment, status: str, seconds: float, expected: tuple[str, str, str]
) -> None:
    refund(payment, status, seconds)
    finding = refunds(NOW)
    assert short(finding) == expected
    if finding.state == "bad":
        assert finding.since == NOW - timedelta(seconds=seconds)
        assert finding.affected == "1 refund not paid out"
        assert finding.step


def test_what_needs_a_person_comes_first(payment: Payment) -> None:
    refund(payment, "UNKNOWN", 9 * LATE)
    refund(payment, "NEEDS_HUMAN", 40)
    refund(payment, "FAILED", 30)
    refund(payment, "CANCELLED", 20)
    finding = refunds(NOW)
    assert short(finding) == ("bad", "money is owed", "RetailRefundFailed")
    assert finding.detail == "2 failed and owed again, 1 with an unknown outcome."
    assert (finding.since, finding.affected) == (
        NOW - timedelta(seconds=40),
        "3 refunds not paid out",
    )
    assert "/desk/returns/" in finding.step


def test_a_new_attempt_after_a_failure_is_a_warning_until_it_is_paid_out(payment: Payment) -> None:
    failed = make_refund(payment, "FAILED", settled_at=NOW)
    refund(payment, "PENDING", 60, replaces=failed)
    refund(payment, "REQUESTED", 30)
    assert refunds(NOW)[:3] == (
        "warn",
        "tried again",
        "2 refunds on the way, the oldest for 1 min. After a failure: 1.",
    )


def test_only_the_stuck_ones_are_counted(payment: Payment) -> None:
    refund(payment, "PENDING", 3 * SOON)
    refund(payment, "REQUESTED", 2 * SOON)
    finding = refunds(NOW)
    assert finding.since == NOW - timedelta(seconds=2 * SOON)
    assert "worker" in finding.step
    assert "1 refund " in finding.affected


def test_a_pending_one_is_the_gateways(payment: Payment) -> None:
    refund(payment, "PENDING", LATE + 60)
    assert "support" in refunds(NOW).step


def test_the_dashboard_shows_the_check_with_a_link(payment: Payment, staff: Client) -> None:
    refund(payment, "FAILED", 60)
    assert checks(staff)["Refunds"].startswith("bad: money is owed 1 failed and owed again")
    (check,) = [check for check in health(NOW) if check.name == "Refunds"]
    assert check.harm == Harm.BOOKS
    assert staff.get(check.finding.link).status_code in {200, 302, 403}
