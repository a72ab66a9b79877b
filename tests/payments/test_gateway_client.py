"""The gateway client against the simulator, over HTTP."""

import json
import socket
import uuid
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from payments import gateway as client
from payments.gateway import Answer, Charge, GatewayTimeoutError, NoAnswerError
from retail.observability.context import request_context
from tests.gateway_simulator.support import Process


def charge_of(token: str = "tok_good", **changes: Any) -> Charge:
    fields = {
        "key": uuid.uuid4().hex,
        "amount": Decimal("12.5"),
        "currency": "EUR",
        "token": token,
        "reference": "VT-TEST",
    }
    return Charge(**{**fields, **changes})


def row(gateway: Process, key: str) -> dict[str, Any]:
    charge: dict[str, Any] = gateway.get(f"/v1/charges/{key}").json()
    return charge


def test_an_accepted_card_is_charged_the_exact_amount(gateway: Process) -> None:
    request = charge_of()
    assert client.charge(request) is Answer.APPROVED
    recorded = row(gateway, request.key)
    assert (
        recorded["status"],
        recorded["amount"],
        recorded["currency"],
        recorded["reference"],
    ) == (
        "approved",
        "12.50",
        "EUR",
        "VT-TEST",
    )


def test_a_declined_card_is_reported_as_declined(gateway: Process) -> None:
    assert client.charge(charge_of("tok_declined")) is Answer.DECLINED


def test_a_cancelled_key_stays_refused(gateway: Process) -> None:
    request = charge_of()
    assert client.cancel(request.key) is Answer.CANCELLED
    assert client.charge(request) is Answer.CANCELLED
    assert client.cancel(request.key) is Answer.CANCELLED


def test_cancelling_a_used_key_returns_its_outcome(gateway: Process) -> None:
    request = charge_of()
    client.charge(request)
    assert client.cancel(request.key) is Answer.APPROVED
    declined = charge_of("tok_declined")
    client.charge(declined)
    assert client.cancel(declined.key) is Answer.DECLINED


def test_an_invalid_charge_is_rejected(gateway: Process) -> None:
    assert client.charge(charge_of(currency="euro")) is Answer.REJECTED
    used = charge_of()
    client.charge(used)
    other_amount = charge_of(key=used.key, amount=Decimal(1))
    assert client.charge(other_amount) is Answer.REJECTED


@pytest.mark.parametrize(
    ("knob", "charged"),
    [
        ({"error_share": 1}, False),
        ({"lost_answer_share": 1}, True),
        ({"garbage_share": 1}, True),
        ({"off": True}, False),
    ],
)
def test_a_failed_call_raises_no_answer_and_the_key_keeps_it_one_charge(
    gateway: Process, knob: dict[str, Any], charged: bool
) -> None:
    request = charge_of()
    gateway.knobs(**knob)
    with pytest.raises(NoAnswerError) as failed:
        client.charge(request)
    assert failed.value.outcome == "error"
    gateway.knobs()
    assert row(gateway, request.key)["status"] == ("approved" if charged else "not_found")
    assert client.charge(request) is Answer.APPROVED
    assert row(gateway, request.key)["status"] == "approved"


def test_a_slow_gateway_is_a_timeout(gateway: Process, settings: Settings) -> None:
    settings.GATEWAY_READ_TIMEOUT = 0.2
    gateway.knobs(hang_share=1)
    with pytest.raises(GatewayTimeoutError) as failed:
        client.charge(charge_of())
    assert failed.value.outcome == "timeout"


def test_a_refused_connection_is_no_answer(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.GATEWAY_URL = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(NoAnswerError):
            client.charge(charge_of())


def test_a_wrong_api_key_is_no_answer(gateway: Process, settings: Settings) -> None:
    settings.GATEWAY_API_KEY = "wrong"
    with pytest.raises(NoAnswerError):
        client.charge(charge_of())


def test_the_request_id_is_sent_to_the_gateway(gateway: Process) -> None:
    with request_context("follow-me-1"):
        client.charge(charge_of())
    lines = [json.loads(line) for line in gateway.lines()]
    assert [line["message"] for line in lines if line["request_id"] == "follow-me-1"] == [
        "event=gateway.charge"
    ]
