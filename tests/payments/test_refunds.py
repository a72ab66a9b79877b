"""Refunds through the breaker, against the simulator over HTTP."""

import logging
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import requests
from prometheus_client import REGISTRY
from pytest_django import Settings

from payments import breaker, refund_gateway, selectors
from payments import gateway as client
from payments.breaker import BreakerOpenError
from payments.gateway import Charge, GatewayTimeoutError, NoAnswerError
from payments.models import CircuitBreaker
from payments.provider import SimulatorError
from payments.refunds import RefundRefusedError, RefundRequest, RefundStatus, refund_send
from payments.selectors import GatewayRefund
from tests.gateway_simulator.support import FAULTS, Process
from tests.payments.support import Clock, fail
from tests.support import moved

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _calm(gateway: Process) -> Iterator[None]:
    yield
    gateway.knobs()


def charged(amount: str = "12.50") -> str:
    key = uuid.uuid4().hex
    client.charge(Charge(key, Decimal(amount), "EUR", "tok_good", "VT-TEST"))
    return key


def refund_of(charge_key: str, amount: str = "5", **changes: Any) -> RefundRequest:
    fields = {
        "key": uuid.uuid4().hex,
        "charge_key": charge_key,
        "amount": Decimal(amount),
        "currency": "EUR",
        "reference": "RF-TEST",
    }
    return RefundRequest(**{**fields, **changes})


def calls(**outcomes: int) -> dict[str, float]:
    expected: dict[str, float] = {}
    for outcome, count in outcomes.items():
        expected[f'retail_refund_attempts_total{{outcome="{outcome}"}}'] = count
        if outcome != "short_circuited":
            expected[f'retail_refund_duration_seconds_count{{outcome="{outcome}"}}'] = count
    return expected


def at_gateway(request: RefundRequest) -> list[GatewayRefund]:
    return selectors.gateway_refunds_of(charge_key=request.charge_key)


def operate(gateway: Process, path: str, body: dict[str, object]) -> None:
    url = f"{gateway.url}/{path}"
    requests.post(url, json=body, headers=FAULTS, timeout=25).raise_for_status()


def test_a_refund_is_made_once(gateway: Process, caplog: pytest.LogCaptureFixture) -> None:
    request = refund_of(charged())
    with caplog.at_level(logging.INFO), moved() as changes:
        refund = refund_send(request=request, attempt=1)
        assert refund_send(request=request, attempt=2) == refund
    assert changes == calls(accepted=2)
    assert (refund.id, refund.key, refund.charge_key) == (0, request.key, request.charge_key)
    assert (refund.status, refund.reason) == (RefundStatus.SUCCEEDED, "")
    assert (refund.amount, refund.currency, refund.reference) == (Decimal(5), "EUR", "RF-TEST")
    [row] = at_gateway(request)
    assert (row.refund_id, row.status, row.created_at) == (
        refund.refund_id,
        refund.status,
        refund.created_at,
    )
    first, second = (one for one in caplog.records if one.message == "event=refund.attempt")
    fields = {name: first.__dict__[name] for name in ("outcome", "answer", "attempt")}
    assert fields == {"outcome": "accepted", "answer": "succeeded", "attempt": 1}
    assert (first.__dict__["refund_key"], first.__dict__["refund_ref"]) == (request.key, "RF-TEST")
    assert second.__dict__["attempt"] == 2


def test_a_replay_returns_the_refunds_current_state(gateway: Process) -> None:
    request = refund_of(charged())
    gateway.knobs(refund_pending_ms=86_400_000)
    refund = refund_send(request=request, attempt=1)
    assert refund.status is RefundStatus.PENDING
    for status in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
        operate(gateway, f"refunds/{refund.refund_id}/state", {"state": str(status)})
        assert refund_send(request=request, attempt=2).status is status
    assert refund_send(request=request, attempt=2).reason == "set_by_operator"


def dispute(gateway: Process, request: RefundRequest) -> RefundRequest:
    operate(gateway, f"charges/{request.charge_key}/dispute", {"open": True})
    assert selectors.gateway_charges_of(keys=[request.charge_key])[request.charge_key].disputed
    return request


def use(_gateway: Process, request: RefundRequest) -> RefundRequest:
    used = refund_send(request=refund_of(request.charge_key, "1"), attempt=1)
    return refund_of(request.charge_key, "2", key=used.key)


REFUSED: dict[str, tuple[str, Callable[[Process, RefundRequest], RefundRequest]]] = {
    "a disputed charge": ("disputed", dispute),
    "more than was charged": ("exceeds", lambda _, asked: refund_of(asked.charge_key, "12.51")),
    "no such charge": ("rejected", lambda *_: refund_of("unknown")),
    "a used key": ("rejected", use),
    "an invalid request": ("rejected", lambda _, asked: refund_of(asked.charge_key, "0")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_an_answer_and_records_nothing(gateway: Process, case: str) -> None:
    reason, prepare = REFUSED[case]
    request = prepare(gateway, refund_of(charged()))
    before = at_gateway(request)
    fail(2)
    with moved() as changes, pytest.raises(RefundRefusedError) as refusal:
        refund_send(request=request, attempt=1)
    assert refusal.value.reason == reason
    assert changes == calls(refused=1)
    assert CircuitBreaker.objects.get().failures == 0
    assert at_gateway(request) == before


@pytest.mark.parametrize(
    ("knob", "made"),
    [
        ({"error_share": 1}, 0),
        ({"lost_answer_share": 1}, 1),
        ({"garbage_share": 1}, 1),
        ({"off": True}, 0),
    ],
)
def test_without_an_answer_the_refund_may_have_been_made(
    gateway: Process, knob: dict[str, Any], made: int
) -> None:
    request = refund_of(charged())
    gateway.knobs(**knob)
    with moved() as changes, pytest.raises(NoAnswerError) as failed:
        refund_send(request=request, attempt=1)
    assert failed.value.maybe_sent
    assert changes == calls(error=1)
    assert CircuitBreaker.objects.get().failures == 1
    gateway.knobs()
    assert len(at_gateway(request)) == made
    assert refund_send(request=request, attempt=2).status is RefundStatus.SUCCEEDED
    assert len(at_gateway(request)) == 1
    assert CircuitBreaker.objects.get().failures == 0


def test_a_hanging_gateway_is_a_timeout(gateway: Process, settings: Settings) -> None:
    request = refund_of(charged())
    settings.GATEWAY_READ_TIMEOUT = 0.2
    gateway.knobs(hang_share=1)
    with moved() as changes, pytest.raises(GatewayTimeoutError):
        refund_send(request=request, attempt=1)
    assert changes == calls(timeout=1)


def test_a_refund_that_was_not_sent_was_not_made(settings: Settings) -> None:
    settings.GATEWAY_URL = "http://127.0.0.1:1"
    with pytest.raises(NoAnswerError) as failed:
        refund_send(request=refund_of("k"), attempt=1)
    assert not failed.value.maybe_sent


def test_an_open_breaker_is_no_payment_attempt(gateway: Process, clock: Clock) -> None:
    request = refund_of(charged())
    fail(5)
    with moved() as changes, pytest.raises(BreakerOpenError):
        refund_send(request=request, attempt=1)
    assert changes == calls(short_circuited=1)
    clock.forward(60)
    with moved() as changes:  # the probe
        refund_send(request=request, attempt=2)
    assert not [name for name in changes if "retail_payment" in name]
    assert breaker.is_closed()


def test_refunds_are_not_in_the_rows_of_payment_attempts(
    gateway: Process, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        "payments.metrics.record_state_seen", lambda _name, state: seen.append(state)
    )
    request = refund_of(charged())
    refund_send(request=request, attempt=1)
    fail(5)
    seen.clear()
    with pytest.raises(BreakerOpenError):
        refund_send(request=request, attempt=1)
    clock.forward(60)
    refund_send(request=request, attempt=1)
    assert seen == []


def test_a_simulator_refunds_nothing_in_production(gateway: Process, settings: Settings) -> None:
    request = refund_of(charged())
    settings.DEMO = settings.STAND_INS = False
    with moved() as changes, pytest.raises(SimulatorError):
        refund_send(request=request, attempt=1)
    assert changes == calls(short_circuited=1)
    settings.STAND_INS = True
    assert at_gateway(request) == []


VALID: dict[str, Any] = {
    "status": "succeeded",
    "refund_id": "re_1",
    "key": "r",
    "charge_key": "k",
    "amount": "5.00",
    "currency": "EUR",
    "reference": "RF-TEST",
    "reason": None,
    "created_at": "2026-01-01T00:00:00+00:00",
}


@pytest.mark.parametrize(
    ("changes", "maybe"),
    [
        ({}, "accepted"),
        ({"amount": "5"}, "accepted"),
        ({"amount": "5.01"}, "error"),
        ({"amount": "much"}, "error"),
        ({"amount": None}, "error"),
        ({"currency": "USD"}, "error"),
        ({"key": "other"}, "error"),
        ({"charge_key": "other"}, "error"),
        ({"status": "refunded"}, "error"),
        ({"status": None}, "error"),
        ({"created_at": 5}, "error"),
    ],
)
def test_an_answer_about_another_refund_is_none(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], maybe: str
) -> None:
    monkeypatch.setattr(refund_gateway, "refund", lambda _: {**VALID, **changes})
    request = refund_of("k", key="r")
    with moved() as counted:
        if maybe == "accepted":
            assert refund_send(request=request, attempt=1).refund_id == "re_1"
        else:
            with pytest.raises(NoAnswerError):
                refund_send(request=request, attempt=1)
    assert counted[f'retail_refund_attempts_total{{outcome="{maybe}"}}'] == 1


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"[]"),
        (200, b"null"),
        (201, b"{}"),
        (404, b"<html>no such page"),
        (404, b'{"error": "no_route"}'),
        (409, b'{"error": "conflict"}'),
        (409, b'{"error": ["charge_disputed"]}'),
        (401, b'{"error": "unauthorized"}'),
        (503, b'{"error": "charge_disputed"}'),
    ],
)
def test_other_answers_are_none(
    monkeypatch: pytest.MonkeyPatch, status: int, content: bytes
) -> None:
    monkeypatch.setattr(refund_gateway, "call", lambda *_: (status, content))
    with pytest.raises(NoAnswerError):
        refund_send(request=refund_of("k"), attempt=1)


def test_a_call_is_counted_with_the_seconds_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refund_gateway, "refund", lambda _: VALID)
    times = iter([1000.0, 1000.25])
    monkeypatch.setattr("payments.refunds.perf_counter", lambda: next(times))
    name, labels = "retail_refund_duration_seconds_sum", {"outcome": "accepted"}
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    refund_send(request=refund_of("k", key="r"), attempt=1)
    assert REGISTRY.get_sample_value(name, labels) == pytest.approx(before + 0.25)
