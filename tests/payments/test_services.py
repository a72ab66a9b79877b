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
from tests.support import ScriptedGateway, moved

pytestmark = pytest.mark.django_db


@pytest.fixture
def wanted() -> Charge:
    return Charge(uuid.uuid4().hex, Decimal("12.50"), "EUR", "tok_good", "VT-TEST")


def calls(**outcomes: int) -> dict[str, float]:
    expected: dict[str, float] = {}
    for outcome, count in outcomes.items():
        expected[f'retail_payment_attempts_total{{outcome="{outcome}"}}'] = count
        expected[f'retail_payment_duration_seconds_count{{outcome="{outcome}"}}'] = count
    return expected


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (Answer.APPROVED, "approved"),
        (Answer.DECLINED, "declined"),
        (Answer.CANCELLED, "declined"),
        (Answer.REJECTED, "error"),
    ],
)
def test_every_answer_is_a_success_for_the_breaker(
    wanted: Charge, scripted_gateway: ScriptedGateway, answer: Answer, counted: str
) -> None:
    CircuitBreaker.objects.create(name="payments", failures=4)
    scripted_gateway.answers = [answer]
    with moved() as changes:
        assert payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key)) is answer
    assert changes == calls(**{counted: 1})
    assert CircuitBreaker.objects.get().failures == 0


def test_each_try_without_an_answer_is_counted_and_told(
    wanted: Charge, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [GatewayTimeoutError(), NoAnswerError()]
    with moved() as changes, pytest.raises(NoAnswerError):
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    assert changes == calls(timeout=1, error=1)
    assert CircuitBreaker.objects.get().failures == 2
    assert [one.key for one in scripted_gateway.charged] == [wanted.key, wanted.key]


def test_no_second_try_against_a_breaker_just_opened(
    wanted: Charge, scripted_gateway: ScriptedGateway
) -> None:
    CircuitBreaker.objects.create(name="payments", failures=4)
    scripted_gateway.answers = [NoAnswerError()]
    with pytest.raises(NoAnswerError):
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    assert len(scripted_gateway.charged) == 1
    with pytest.raises(BreakerOpenError):
        payment_acquire(key="next")


def test_cancelling_asks_the_breaker_and_tells_it(
    wanted: Charge, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.cancels = [NoAnswerError(), Answer.CANCELLED]
    with pytest.raises(NoAnswerError):
        payment_cancel(key=wanted.key)
    assert CircuitBreaker.objects.get().failures == 1
    assert payment_cancel(key=wanted.key) is Answer.CANCELLED
    assert CircuitBreaker.objects.get().failures == 0
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    with pytest.raises(BreakerOpenError):
        payment_cancel(key=wanted.key)
    assert scripted_gateway.cancelled == [wanted.key, wanted.key]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Answer.APPROVED, "approved"), (GatewayTimeoutError(), "timeout")],
)
def test_a_call_is_counted_with_the_seconds_it_took(
    wanted: Charge,
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
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    assert REGISTRY.get_sample_value(name, labels) == pytest.approx(before + 0.25)


def test_a_rejection_after_a_try_without_an_answer_is_no_answer(
    wanted: Charge, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError(), Answer.REJECTED]
    with pytest.raises(NoAnswerError, match="rejected now") as failed:
        payment_charge(charge=wanted, permit=payment_acquire(key=wanted.key))
    assert failed.value.maybe_sent
    assert len(scripted_gateway.charged) == 2


def test_the_answer_to_a_cancellation_is_logged_with_its_key(
    wanted: Charge, scripted_gateway: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "retail.payments")
    payment_cancel(key=wanted.key)
    (logged,) = [one for one in caplog.records if one.message == "event=payment.cancel"]
    assert vars(logged).items() >= {"payment_key": wanted.key, "answer": "cancelled"}.items()
