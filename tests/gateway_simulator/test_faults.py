import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gateway_simulator import faults
from tests.gateway_simulator.support import API, FAULTS, Call, Clock, Knobs, wait_until

CALM = {
    "decline_share": 0.0,
    "error_share": 0.0,
    "latency_ms": 0,
    "hang_share": 0.0,
    "lost_answer_share": 0.0,
    "garbage_share": 0.0,
    "trickle_share": 0.0,
    "refund_pending_ms": 0,
    "refund_fail_share": 0.0,
    "refund_cancel_share": 0.0,
    "refund_late_fail_share": 0.0,
    "refund_late_ms": 0,
    "key_life_ms": 0,
    "dispute_share": 0.0,
    "hold": False,
    "off": False,
    "until": None,
}


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def calls(client: FlaskClient, key: str = "k1") -> int | None:
    rows = client.get("/v1/charges", headers=API).get_json()["charges"]
    return {row["key"]: row["calls"] for row in rows}.get(key)


def test_knobs_are_set_in_part_and_reset(client: FlaskClient) -> None:
    assert client.get("/faults", headers=FAULTS).get_json() == CALM
    answer = client.put("/faults", json={"latency_ms": 60_000, "hang_share": 1}, headers=FAULTS)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {**CALM, "latency_ms": 60_000, "hang_share": 1.0},
    )
    client.put("/faults", json={"off": True}, headers=FAULTS)
    assert client.get("/faults", headers=FAULTS).get_json()["latency_ms"] == 60_000
    assert client.delete("/faults", headers=FAULTS).get_json() == CALM
    assert client.get("/faults", headers=FAULTS).get_json() == CALM


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"speed": 1}, "Unknown knob 'speed'. Use: decline_share, "),
        ({"error_share": 1.01}, "error_share must be a number from 0 to 1."),
        ({"error_share": -0.1}, "error_share must be a number from 0 to 1."),
        ({"error_share": "1"}, "error_share must be a number from 0 to 1."),
        ({"error_share": True}, "error_share must be a number from 0 to 1."),
        ({"error_share": float("nan")}, "error_share must be a number from 0 to 1."),
        ({"latency_ms": 60_001}, "latency_ms must be a whole number of milliseconds"),
        ({"latency_ms": 1.5}, "latency_ms must be a whole number of milliseconds"),
        ({"latency_ms": None}, "latency_ms must be a whole number of milliseconds"),
        (
            {"key_life_ms": 86_400_001},
            "key_life_ms must be a whole number of milliseconds from 0 to 8",
        ),
        ({"refund_fail_share": 2}, "refund_fail_share must be a number from 0 to 1."),
        ({"hold": "yes"}, "hold must be true or false."),
        ({"off": 1}, "off must be true or false."),
        ({"until": 60}, "until must be null, or a time within the next 24 hours"),
        ({"until": "soon"}, "until must be null, or a time within the next 24 hours"),
        ({"until": "2999-01-01T00:00:00+00:00"}, "until must be null, or a time within the next"),
        ({"until": "2026-01-01T00:00:00+00:00"}, "until must be null, or a time within the next"),
        ({"until": in_seconds(60)[:19]}, "until must be null, or a time within the next 24 hours"),
        ([], "Send a JSON object"),
    ],
)
def test_bad_knobs_change_nothing(client: FlaskClient, bad: Any, says: str) -> None:
    body = {"decline_share": 0.5, **bad} if isinstance(bad, dict) else bad
    answer = client.put("/faults", json=body, headers=FAULTS)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")
    assert answer.get_json()["message"].startswith(says)
    assert client.get("/faults", headers=FAULTS).get_json() == CALM


@pytest.mark.parametrize("headers", [{}, API, {"Authorization": "dev-faults-token"}])
@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_knobs_need_their_token(
    client: FlaskClient, knobs: Knobs, method: str, headers: dict[str, str]
) -> None:
    knobs(error_share=1)
    answer = getattr(client, method)("/faults", headers=headers)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "unauthorized")
    assert client.get("/faults", headers=FAULTS).get_json()["error_share"] == 1.0


@pytest.fixture
def monotonic(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the ends of faults are measured with."""
    clock = Clock()
    monkeypatch.setattr(app.extensions["gateway"].faults, "_monotonic", lambda: clock().timestamp())
    return clock


def active(client: FlaskClient) -> set[str]:
    lines = client.get("/metrics").get_data(as_text=True).splitlines()
    prefix = "gateway_fault_active{"
    return {line for line in lines if line.startswith(prefix) and not line.endswith(" 0.0")}


def test_faults_with_an_end_end_by_themselves(
    client: FlaskClient, charge: Call, monotonic: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    until = in_seconds(60)
    answer = client.put("/faults", json={"error_share": 1, "until": until}, headers=FAULTS)
    assert answer.get_json() == {**CALM, "error_share": 1.0, "until": until}
    # Another knob does not move the end.
    client.put("/faults", json={"latency_ms": 5}, headers=FAULTS)
    monotonic.forward(59_000)
    assert charge().status_code == 500
    assert active(client) == {
        'gateway_fault_active{fault="error"} 1.0',
        'gateway_fault_active{fault="latency"} 1.0',
    }
    assert "event=gateway.faults_ended" not in caplog.messages
    monotonic.forward(1_000)
    assert charge().status_code == 200
    assert active(client) == set()
    assert client.get("/faults", headers=FAULTS).get_json() == CALM
    assert caplog.messages.count("event=gateway.faults_ended") == 1


def test_an_end_can_be_moved_and_taken_away(client: FlaskClient, monotonic: Clock) -> None:
    client.put("/faults", json={"off": True, "until": in_seconds(60)}, headers=FAULTS)
    client.put("/faults", json={"until": in_seconds(300)}, headers=FAULTS)
    monotonic.forward(299_000)
    assert client.get("/faults", headers=FAULTS).get_json()["off"]
    client.put("/faults", json={"until": None}, headers=FAULTS)
    monotonic.forward(99 * 3_600_000)
    assert client.get("/faults", headers=FAULTS).get_json() == {**CALM, "off": True}
    client.delete("/faults", headers=FAULTS)
    assert client.get("/faults", headers=FAULTS).get_json() == CALM


def test_a_change_after_the_end_does_not_bring_the_ended_faults_back(
    client: FlaskClient, monotonic: Clock
) -> None:
    client.put("/faults", json={"off": True, "until": in_seconds(60)}, headers=FAULTS)
    monotonic.forward(61_000)
    answer = client.put("/faults", json={"latency_ms": 5}, headers=FAULTS)
    assert answer.get_json() == {**CALM, "latency_ms": 5}


def test_a_held_charge_goes_on_at_the_end(charge: Call, client: FlaskClient) -> None:
    client.put("/faults", json={"hold": True, "until": in_seconds(0.5)}, headers=FAULTS)
    assert charge().get_json()["status"] == "approved"  # nobody releases it
    assert client.get("/faults", headers=FAULTS).get_json() == CALM


def test_declined_share(charge: Call, knobs: Knobs) -> None:
    knobs(decline_share=1)
    answer = charge()
    assert (answer.status_code, answer.get_json()["reason"]) == (402, "card_declined")


def test_a_share_affects_some_calls(charge: Call, knobs: Knobs) -> None:
    knobs(decline_share=0.5)
    codes = [charge(f"k{number}").status_code for number in range(100)]
    assert (codes.count(200), codes.count(402)) == (46, 54)  # with the fixture's fixed seed


def test_declining_does_not_change_approved_charges(charge: Call, knobs: Knobs) -> None:
    charge()
    knobs(decline_share=1)
    assert charge().get_json()["status"] == "approved"


def test_error_comes_before_the_charge(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    knobs(error_share=1)
    answer = charge()
    assert (answer.status_code, answer.get_json()["error"]) == (500, "injected_error")
    assert calls(client) is None


def test_garbage_comes_after_the_charge(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    knobs(garbage_share=1)
    for count in (1, 2):  # a replay is lost again, and charges nothing again
        answer = charge()
        assert (answer.status_code, answer.data) == (200, b"<html><body>It works!</body>")
        assert calls(client) == count
    assert client.get("/v1/charges/k1", headers=API).get_json()["status"] == "approved"


def test_a_trickling_answer_takes_a_second_for_each_byte_after_the_charge(
    charge: Call, client: FlaskClient, knobs: Knobs, sleeps: list[float]
) -> None:
    usual = charge()
    knobs(trickle_share=1)
    answer = charge()
    assert (answer.status_code, answer.data) == (200, usual.data)
    assert answer.headers["Content-Length"] == usual.headers["Content-Length"]
    assert sleeps == [1] * len(usual.data)
    assert calls(client) == 2


def test_lost_refund_is_made_and_replayed(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    charge()
    knobs(lost_answer_share=1)
    headers = {**API, "Idempotency-Key": "r1"}
    body = {"charge_key": "k1", "amount": "12.50"}
    assert client.post("/v1/refunds", json=body, headers=headers).data == b""
    client.delete("/faults", headers=FAULTS)
    answer = client.post("/v1/refunds", json=body, headers=headers)
    assert answer.get_json()["status"] == "succeeded"
    assert answer.headers["Idempotent-Replayed"] == "true"


def test_lookups_are_not_affected_by_shares(
    charge: Call, client: FlaskClient, knobs: Knobs
) -> None:
    charge()
    knobs(error_share=1, hang_share=1, lost_answer_share=1, garbage_share=1)
    assert client.get("/v1/charges/k1", headers=API).get_json()["status"] == "approved"
    answer = client.post("/v1/charges/k1/cancel", headers=API)
    assert (answer.status_code, answer.get_json()["status"]) == (200, "approved")


def test_latency_delays_every_call(
    charge: Call, client: FlaskClient, knobs: Knobs, sleeps: list[float]
) -> None:
    knobs(latency_ms=250)
    charge()
    client.get("/v1/charges", headers=API)
    client.get("/healthz")
    assert sleeps == [0.25, 0.25]


@pytest.mark.parametrize(
    "release",
    [
        lambda knobs: knobs.change({"hold": False}),
        lambda knobs: knobs.reset(),
        lambda knobs: knobs.change({"hold": False}) and knobs.change({"hold": True}),
    ],
)
def test_hold_ends_with_the_next_release(release: Callable[[faults.Faults], object]) -> None:
    knobs = faults.Faults()
    knobs.hold()  # returns immediately while off
    knobs.change({"hold": True})
    held = threading.Thread(target=knobs.hold, daemon=True)
    held.start()
    wait_until(lambda: knobs.held == 1)
    knobs.change({"latency_ms": 1})  # releases nothing
    assert (held.is_alive(), knobs.held) == (True, 1)
    release(knobs)
    held.join(60)
    assert (held.is_alive(), knobs.held) == (False, 0)


def test_hold_ends_after_its_maximum_time(
    charge: Call, knobs: Knobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert faults.HOLD_SECONDS == 300
    monkeypatch.setattr(faults, "HOLD_SECONDS", 0)
    knobs(hold=True)
    assert charge().get_json()["status"] == "approved"


def test_a_charge_beyond_the_maximum_held_is_refused_and_other_calls_are_answered(
    charge: Call, client: FlaskClient, knobs: Knobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    charge("before")
    monkeypatch.setattr(faults, "MOST_HELD", 0)
    knobs(hold=True)
    answer = charge()
    assert (answer.status_code, answer.get_json()["error"]) == (503, "too_many_held")
    assert calls(client) is None
    assert client.post("/v1/charges/k2/cancel", headers=API).get_json()["status"] == "cancelled"
    body = {"charge_key": "before", "amount": "12.50"}
    refund = client.post("/v1/refunds", json=body, headers={**API, "Idempotency-Key": "r1"})
    assert refund.get_json()["status"] == "succeeded"


def test_off_does_nothing(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    knobs(off=True)
    assert charge().data == b""
    assert client.post("/v1/charges/k2/cancel", headers=API).data == b""
    assert client.get("/healthz").status_code == 200
    knobs(off=False)
    assert client.get("/v1/charges", headers=API).get_json() == {"charges": []}


def test_share_is_never_for_0_and_always_for_1() -> None:
    chance = faults.Faults()
    assert not any(chance.strikes(0.0) for _ in range(1000))
    assert all(chance.strikes(1.0) for _ in range(1000))
