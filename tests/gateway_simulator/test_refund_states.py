"""States of refunds over time: pending, late failures, disputes, forgotten keys, their changes."""

from collections import Counter
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway_simulator.fates import steps
from gateway_simulator.knobs import State
from tests.gateway_simulator.support import API, FAULTS, Call, Clock, Knobs


def changes(client: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(f"/v1/changes?{query}", headers=API).get_json()[
        "changes"
    ]
    return rows


def charge_row(client: FlaskClient) -> tuple[str, bool]:
    [row] = client.get("/v1/charges", headers=API).get_json()["charges"]
    return row["refunded"], row["disputed"]


def seconds(change: dict[str, Any]) -> str:
    """Return the time of a change as minutes and seconds after the clock's start."""
    return str(change["created_at"])[14:23]


@pytest.mark.parametrize(
    ("share", "end", "reason", "refunded"),
    [
        ({}, "succeeded", None, "5.00"),
        ({"refund_fail_share": 1}, "failed", "rejected_by_bank", "0.00"),
        ({"refund_cancel_share": 1}, "cancelled", "cancelled_by_provider", "0.00"),
    ],
)
def test_a_pending_refund_ends_when_it_is_due(
    charge: Call,
    refund: Call,
    client: FlaskClient,
    clock: Clock,
    knobs: Knobs,
    share: dict[str, int],
    end: str,
    reason: str | None,
    refunded: str,
) -> None:
    charge()
    knobs(refund_pending_ms=2000, **share)
    assert refund(reference="RF-1").get_json()["status"] == "pending"
    clock.forward(1999)
    assert refund().get_json()["status"] == "pending"
    assert charge_row(client)[0] == "5.00"  # what is in flight counts
    clock.forward(5001)
    assert charge_row(client)[0] == refunded
    answer = refund()
    assert (answer.get_json()["status"], answer.get_json()["reason"]) == (end, reason)
    assert answer.headers["Idempotent-Replayed"] == "true"
    rows = changes(client)
    assert [(row["kind"], seconds(row)) for row in rows] == [
        ("refund.pending", "00:00.000"),
        (f"refund.{end}", "00:02.000"),  # when it was due, not when it was asked for
    ]
    [row] = client.get("/v1/refunds", headers=API).get_json()["refunds"]
    assert (row["status"], seconds({"created_at": row["updated_at"]})) == (end, "00:02.000")
    assert rows[1] == {
        "id": 2,
        "kind": f"refund.{end}",
        "charge_key": "k1",
        "refund_id": row["refund_id"],
        "refund_key": "r1",
        "reference": "RF-1",
        "amount": "5.00",
        "created_at": row["updated_at"],
    }
    assert changes(client, "after=1") == rows[1:]
    assert changes(client, "limit=1") == rows[:1]


def test_changes_that_become_due_together_are_in_the_order_of_their_times(
    charge: Call, refund: Call, client: FlaskClient, clock: Clock, knobs: Knobs
) -> None:
    charge()
    for key, wait in (("slow", 3000), ("fast", 1000), ("middle", 2000)):
        knobs(refund_pending_ms=wait)
        refund(key, "1.00")
    clock.forward(60_000)
    assert [(row["refund_key"], seconds(row)) for row in changes(client)[3:]] == [
        ("fast", "00:01.000"),
        ("middle", "00:02.000"),
        ("slow", "00:03.000"),
    ]


def test_a_refund_fails_after_it_succeeded_and_gives_its_amount_back(
    charge: Call, refund: Call, client: FlaskClient, clock: Clock, knobs: Knobs
) -> None:
    charge()
    knobs(refund_pending_ms=1000, refund_late_fail_share=1, refund_late_ms=5000)
    refund(amount="12.50")
    clock.forward(5999)
    assert refund(amount="12.50").get_json()["status"] == "succeeded"
    assert refund("r2", "0.01").get_json()["error"] == "refund_exceeds_charge"
    clock.forward(1)
    client.delete("/faults", headers=FAULTS)
    assert refund("r2", "12.50").get_json()["status"] == "succeeded"
    failed = refund(amount="12.50").get_json()
    assert (failed["status"], failed["reason"]) == ("failed", "returned_by_bank")
    assert [row["kind"] for row in changes(client)] == [
        "refund.pending",
        "refund.succeeded",
        "refund.failed",
        "refund.succeeded",
    ]


def test_shares_of_outcomes_do_not_overlap() -> None:
    knobs = State(refund_fail_share=0.25, refund_cancel_share=0.5, refund_late_fail_share=0.125)
    ends = Counter(tuple(step.status for step in steps(knobs, chance / 16)) for chance in range(16))
    assert ends == {
        ("failed",): 4,
        ("cancelled",): 8,
        ("succeeded", "failed"): 2,
        ("succeeded",): 2,
    }


def test_a_disputed_charge_is_not_refunded(charge: Call, refund: Call, client: FlaskClient) -> None:
    charge()
    refund("before", "1.00")
    path = "/charges/k1/dispute"
    for _ in range(2):
        answer = client.post(path, json={"open": True}, headers=FAULTS)
        assert (answer.status_code, answer.get_json()) == (200, {"key": "k1", "disputed": True})
    answer = refund()
    assert (answer.status_code, answer.get_json()["error"]) == (409, "charge_disputed")
    assert refund("before", "1.00").status_code == 200  # made before, and replayed
    assert charge_row(client) == ("1.00", True)
    client.post(path, json={"open": False}, headers=FAULTS)
    assert refund().status_code == 200
    [_, opened, closed, _] = changes(client)
    assert opened == {
        "id": 2,
        "kind": "dispute.opened",
        "charge_key": "k1",
        "refund_id": None,
        "refund_key": None,
        "reference": "VT-ABC",
        "amount": "12.50",
        "created_at": "2026-01-01T00:00:00.000+00:00",
    }
    assert closed["kind"] == "dispute.closed"


def test_a_charge_turns_out_disputed_once(
    charge: Call, refund: Call, client: FlaskClient, knobs: Knobs
) -> None:
    charge()
    knobs(dispute_share=1)
    for _ in range(2):
        assert refund().get_json()["error"] == "charge_disputed"
    assert [row["kind"] for row in changes(client)] == ["dispute.opened"]
    client.post("/charges/k1/dispute", json={"open": False}, headers=FAULTS)
    assert refund().status_code == 200


def test_a_share_of_charges_is_disputed_however_often_it_is_asked(
    charge: Call, refund: Call, knobs: Knobs
) -> None:
    knobs(dispute_share=0.5)
    for number in range(40):
        charge(f"k{number}")
    answers = [
        [refund(f"r{number}", "1.00", f"k{number}").status_code for number in range(40)]
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert 10 <= answers[0].count(409) <= 30


def test_a_forgotten_key_makes_a_second_refund(
    charge: Call, refund: Call, client: FlaskClient, clock: Clock, knobs: Knobs
) -> None:
    charge()
    knobs(key_life_ms=1000)
    first = refund().get_json()["refund_id"]
    clock.forward(999)
    assert refund().get_json()["refund_id"] == first
    clock.forward(1)
    answer = refund()
    assert "Idempotent-Replayed" not in answer.headers
    second = answer.get_json()["refund_id"]
    rows = client.get("/v1/refunds?charge_key=k1", headers=API).get_json()["refunds"]
    assert [(row["key"], row["refund_id"]) for row in rows] == [("r1", first), ("r1", second)]
    assert first != second
    client.delete("/faults", headers=FAULTS)
    clock.forward(100_000)
    assert refund().get_json()["refund_id"] == second  # never forgotten without the knob
    knobs(key_life_ms=1000)
    assert refund().get_json()["error"] == "refund_exceeds_charge"
    other = refund(amount="2.50")  # a forgotten key is not compared with what it was used for
    assert other.status_code == 200
