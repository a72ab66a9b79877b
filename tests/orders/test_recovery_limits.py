"""When the worker sends, cancels, postpones or returns a payment, at the very moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest
from django.utils import timezone

from orders import recovery
from orders.models import Payment, new_payment_key
from orders.reservation import reserve
from orders.settlement import RETRY_AFTER
from payments.services import BreakerOpenError, NoAnswerError
from retail import claims, jobs
from tests.support import ScriptedGateway, order_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

    from products.models import Product

pytestmark = pytest.mark.django_db(transaction=True)
RESOLUTION = timedelta(microseconds=1)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """A moment at which all clocks stand still."""
    now = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    return now


@pytest.fixture
def payment(buyer: User, lamp: Product) -> Payment:
    return reserve(order_for(buyer, lamp), new_payment_key())[1]


def stored(payment: Payment) -> Payment:
    return Payment.objects.get(pk=payment.pk)


@pytest.mark.parametrize(("younger", "sent"), [(RESOLUTION, 1), (timedelta(0), 0)])
def test_a_payment_is_too_old_to_be_sent_at_the_end_of_its_time(
    payment: Payment, now: datetime, settings: Settings, scripted_gateway: ScriptedGateway,
    younger: timedelta, sent: int,
) -> None:  # fmt: skip
    settings.PAYMENT_SEND_WITHIN = 600
    payment.sent_at = None
    payment.created_at = now - timedelta(seconds=600) + younger
    Payment.objects.filter(pk=payment.pk).update(sent_at=None, created_at=payment.created_at)
    recovery.finish(payment)
    assert len(scripted_gateway.charged) == sent
    assert stored(payment).failure_reason == ("" if sent else "unsent")


@pytest.mark.parametrize(("younger", "sent"), [(RESOLUTION, 1), (timedelta(0), 0)])
def test_a_payment_is_cancelled_at_the_end_of_its_time(
    payment: Payment, now: datetime, settings: Settings, scripted_gateway: ScriptedGateway,
    younger: timedelta, sent: int,
) -> None:  # fmt: skip
    settings.PAYMENT_CANCEL_AFTER = 120
    payment.sent_at = now - timedelta(seconds=120) + younger
    recovery.finish(payment)
    assert (len(scripted_gateway.charged), len(scripted_gateway.cancelled)) == (sent, 1 - sent)


def test_a_breaker_postpones_a_payment_for_as_long_as_it_rests(
    payment: Payment, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> NoReturn:
        raise BreakerOpenError(7)

    monkeypatch.setattr(recovery, "payment_acquire", refuse)
    payment.sent_at = now
    recovery.finish(payment)
    assert (stored(payment).due_at, stored(payment).status) == (
        now + timedelta(seconds=7),
        "PENDING",
    )


def test_a_cancellation_without_an_answer_leaves_the_payment_unknown(
    payment: Payment, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(**_: object) -> NoReturn:
        raise NoAnswerError("timeout")

    monkeypatch.setattr(recovery, "payment_cancel", hang)
    payment.sent_at = now - timedelta(days=1)
    recovery.finish(payment)
    assert (stored(payment).status, stored(payment).due_at) == (
        "UNKNOWN",
        now + RETRY_AFTER,
    )


def test_a_worker_that_stops_returns_only_what_it_has_claimed(
    payment: Payment, now: datetime, monkeypatch: pytest.MonkeyPatch,
    scripted_gateway: ScriptedGateway,
) -> None:  # fmt: skip
    monkeypatch.setattr(jobs.stopping, "is_set", lambda: True)
    payment.due_at = now + timedelta(seconds=60)
    Payment.objects.filter(pk=payment.pk).update(due_at=payment.due_at)
    recovery._finish_or_log(payment)
    assert stored(payment).due_at == now
    Payment.objects.filter(pk=payment.pk).update(due_at=now + timedelta(seconds=90))
    recovery._finish_or_log(payment)  # another worker has claimed it since
    assert stored(payment).due_at == now + timedelta(seconds=90)
    assert scripted_gateway.charged == []


@pytest.mark.parametrize(("stops", "budget"), [(True, 20), (False, 0)])
def test_nothing_is_claimed_by_a_worker_that_stops_or_has_no_time_left(
    payment: Payment, monkeypatch: pytest.MonkeyPatch, *, stops: bool, budget: int
) -> None:
    monkeypatch.setattr(jobs.stopping, "is_set", lambda: stops)
    monkeypatch.setattr(claims, "BUDGET_SECONDS", budget)
    Payment.objects.update(due_at=timezone.now())
    before = stored(payment).due_at
    assert recovery.settle_due() == 0
    assert stored(payment).due_at == before


@pytest.mark.parametrize(
    ("longest", "seconds"),
    [
        ("PAYMENT_RESEND_AFTER", 500),
        ("PAYMENT_LEASE", 500),
        ("BREAKER_RESET_SECONDS", 500),
        ("", 10),
    ],
)
def test_the_longest_wait_is_that_of_any_reason(
    settings: Settings, longest: str, seconds: int
) -> None:
    for name in ("PAYMENT_RESEND_AFTER", "PAYMENT_LEASE", "BREAKER_RESET_SECONDS"):
        setattr(settings, name, 500 if name == longest else 1)
    assert recovery.longest_wait() == timedelta(seconds=seconds)
