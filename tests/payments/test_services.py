import logging
import uuid
from contextlib import suppress
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY
from pytest_django import Settings

from payments import breaker
from payments.gateway import Answer, Charge, GatewayTimeoutError, NoAnswerError
from payments.models import CircuitBreaker
from payments.services import (
    BreakerOpenError,
    payment_acquire,
    payment_cancel,
    payment_charge,
)
from tests.payments.support import Clock
from tests.support import ScriptedGateway, moved

pytestmark = pytest.mark.django_db


@pytest.fixture
def charge() -> Charge:
    return Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", "tok_good", "VT-TEST")


def calls(**outcomes: int) -> dict[str, float]:
    expected: dict[str, float] = {}
    for outcome, count in outcomes.items():
        expected[f'retail_payment_attempts_total{{outcome="{outcome}"}}'] = count
        expected[f'retail_payment_duration_seconds_count{{outcome="{outcome}"}}'] = count
    return expected


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer.APPROVED, "approved"),
        (Answer.DECLINED, "declined"),
        (Answer.CANCELLED, "declined"),
        (Answer.REJECTED, "error"),
    ],
)
def test_every_answer_is_a_success_for_the_breaker(
    charge: Charge, scripted_gateway: ScriptedGateway, answer: Answer, outcome: str
) -> None:
    CircuitBreaker.objects.create(name="payments", failures=4)
    scripted_gateway.answers = [answer]
    with moved() as changes:
        assert payment_charge(charge=charge, permit=payment_acquire(key=charge.key)) is answer
    assert changes == calls(**{outcome: 1})
    assert CircuitBreaker.objects.get().failures == 0


def test_each_attempt_without_an_answer_is_counted_and_reported(
    charge: Charge, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [GatewayTimeoutError(), NoAnswerError()]
    with moved() as changes, pytest.raises(NoAnswerError):
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert changes == calls(timeout=1, error=1)
    assert CircuitBreaker.objects.get().failures == 2
    assert [sent.key for sent in scripted_gateway.charged] == [charge.key, charge.key]


def test_a_charge_is_not_retried_once_the_breaker_opens(
    charge: Charge, scripted_gateway: ScriptedGateway
) -> None:
    CircuitBreaker.objects.create(name="payments", failures=4)
    scripted_gateway.answers = [NoAnswerError()]
    with pytest.raises(NoAnswerError):
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert len(scripted_gateway.charged) == 1
    with pytest.raises(BreakerOpenError):
        payment_acquire(key="next")


def test_cancelling_acquires_a_permit_and_reports_the_outcome(
    charge: Charge, scripted_gateway: ScriptedGateway, clock: Clock
) -> None:
    scripted_gateway.cancels = [NoAnswerError(), Answer.CANCELLED]
    with pytest.raises(NoAnswerError):
        payment_cancel(key=charge.key)
    assert CircuitBreaker.objects.get().failures == 1
    assert payment_cancel(key=charge.key) is Answer.CANCELLED
    assert CircuitBreaker.objects.get().failures == 0
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with pytest.raises(BreakerOpenError):
        payment_cancel(key=charge.key)
    assert scripted_gateway.cancelled == [charge.key, charge.key]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Answer.APPROVED, "approved"), (GatewayTimeoutError(), "timeout")],
)
def test_a_call_is_counted_with_the_seconds_it_took(
    charge: Charge,
    scripted_gateway: ScriptedGateway,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer | NoAnswerError,
    outcome: str,
) -> None:
    settings.GATEWAY_ATTEMPTS = 1
    scripted_gateway.answers = [answer]
    times = iter([1000.0, 1000.25])
    monkeypatch.setattr("payments.services.perf_counter", lambda: next(times))
    name, labels = "retail_payment_duration_seconds_sum", {"outcome": outcome}
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    with suppress(NoAnswerError):
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert REGISTRY.get_sample_value(name, labels) == pytest.approx(before + 0.25)


def test_a_rejection_after_a_try_without_an_answer_is_no_answer(
    charge: Charge, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError(), Answer.REJECTED]
    with pytest.raises(NoAnswerError, match="rejected, but an earlier attempt") as failed:
        payment_charge(charge=charge, permit=payment_acquire(key=charge.key))
    assert failed.value.maybe_sent
    assert len(scripted_gateway.charged) == 2


def test_the_answer_to_a_cancellation_is_logged_with_its_key(
    charge: Charge, scripted_gateway: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "retail.payments")
    payment_cancel(key=charge.key)
    (logged,) = [one for one in caplog.records if one.message == "event=payment.cancel"]
    assert vars(logged).items() >= {"payment_key": charge.key, "answer": "cancelled"}.items()
