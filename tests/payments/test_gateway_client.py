"""The client against the real simulator, over HTTP."""

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
    facts = {
        "key": uuid.uuid4().hex,
        "amount": Decimal("12.5"),
        "currency": "EUR",
        "token": token,
        "reference": "VT-TEST",
    }
    return Charge(**{**facts, **changes})


def row(gateway: Process, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = gateway.get(f"/v1/charges/{key}").json()
    return answer


def test_a_good_card_is_charged_the_exact_amount(gateway: Process) -> None:
    wanted = charge_of()
    assert client.charge(wanted) is Answer.APPROVED
    found = row(gateway, wanted.key)
    assert (found["status"], found["amount"], found["currency"], found["reference"]) == (
        "approved",
        "12.50",
        "EUR",
        "VT-TEST",
    )


def test_a_bad_card_is_declined(gateway: Process) -> None:
    assert client.charge(charge_of("tok_declined")) is Answer.DECLINED


def test_a_cancelled_key_is_refused_for_ever(gateway: Process) -> None:
    wanted = charge_of()
    assert client.cancel(wanted.key) is Answer.CANCELLED
    assert client.charge(wanted) is Answer.CANCELLED
    assert client.cancel(wanted.key) is Answer.CANCELLED


def test_cancelling_what_was_charged_tells_so(gateway: Process) -> None:
    wanted = charge_of()
    client.charge(wanted)
    assert client.cancel(wanted.key) is Answer.APPROVED
    declined = charge_of("tok_declined")
    client.charge(declined)
    assert client.cancel(declined.key) is Answer.DECLINED


def test_a_charge_that_the_gateway_cannot_take_is_rejected(gateway: Process) -> None:
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
def test_what_is_no_answer_is_told_as_none_and_the_key_keeps_it_one_charge(
    gateway: Process, knob: dict[str, Any], charged: bool
) -> None:
    wanted = charge_of()
    gateway.knobs(**knob)
    with pytest.raises(NoAnswerError) as failed:
        client.charge(wanted)
    assert failed.value.outcome == "error"
    gateway.knobs()
    assert row(gateway, wanted.key)["status"] == ("approved" if charged else "not_found")
    assert client.charge(wanted) is Answer.APPROVED
    assert row(gateway, wanted.key)["status"] == "approved"


def test_a_gateway_that_takes_too_long_is_a_time_out(gateway: Process, settings: Settings) -> None:
    settings.GATEWAY_READ_TIMEOUT = 0.2
    gateway.knobs(hang_share=1)
    with pytest.raises(GatewayTimeoutError) as failed:
        client.charge(charge_of())
    assert failed.value.outcome == "timeout"


def test_nobody_listening_is_no_answer(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.GATEWAY_URL = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(NoAnswerError):
            client.charge(charge_of())


def test_a_wrong_api_key_is_no_answer(gateway: Process, settings: Settings) -> None:
    settings.GATEWAY_API_KEY = "wrong"
    with pytest.raises(NoAnswerError):
        client.charge(charge_of())


def test_the_request_id_goes_along(gateway: Process) -> None:
    with request_context("follow-me-1"):
        client.charge(charge_of())
    lines = [json.loads(line) for line in gateway.lines()]
    assert [line["message"] for line in lines if line["request_id"] == "follow-me-1"] == [
        "event=gateway.charge"
    ]
