import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.gateway_simulator.support import API, Call, at_once


def test_refund(charge: Call, refund: Call) -> None:
    charge()
    answer = refund(amount="5", reference="RF-1")
    refund_id = answer.get_json()["refund_id"]
    assert (answer.status_code, refund_id[:3]) == (200, "re_")
    assert answer.get_json() == {
        "key": "r1",
        "refund_id": refund_id,
        "charge_key": "k1",
        "reference": "RF-1",
        "status": "succeeded",
        "reason": None,
        "amount": "5.00",
        "currency": "EUR",
        "created_at": "2026-01-01T00:00:00.000+00:00",
    }
    assert "Idempotent-Replayed" not in answer.headers


def test_refund_is_replayed(charge: Call, refund: Call) -> None:
    charge()
    first = refund(amount="12.50")
    again = refund(amount="12.5")
    assert (again.status_code, again.data) == (200, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_refund_key_used_for_something_else(charge: Call, refund: Call) -> None:
    charge()
    charge("k2")
    refund()
    for answer in (refund(amount="5.01"), refund(charge_key="k2")):
        assert (answer.status_code, answer.get_json()["error"]) == (422, "key_reused")


def test_refunds_never_exceed_the_charge(charge: Call, client: FlaskClient, refund: Call) -> None:
    charge()
    assert refund("r1", "12.51").get_json()["error"] == "refund_exceeds_charge"
    assert client.get("/v1/changes", headers=API).get_json() == {"changes": []}
    assert refund("r1", "12.50").status_code == 200  # the refused one recorded nothing
    answer = refund("r2", "0.01")
    assert (answer.status_code, answer.get_json()["error"]) == (409, "refund_exceeds_charge")


@pytest.mark.parametrize("outcome", ["unknown", "declined", "cancelled"])
def test_only_an_approved_charge_is_refunded(
    charge: Call, client: FlaskClient, refund: Call, outcome: str
) -> None:
    if outcome == "declined":
        charge(token="tok_declined")
    if outcome == "cancelled":
        client.post("/v1/charges/k1/cancel", headers=API)
    answer = refund()
    assert (answer.status_code, answer.get_json()["error"]) == (404, "not_found")


def test_bad_refunds(charge: Call, refund: Call, client: FlaskClient) -> None:
    charge()
    for answer in (
        refund(key="a b"),
        refund(amount="0"),
        refund(amount=5),
        refund(charge_key=None),
        refund(charge_key="a.b"),
        refund(reference=""),
        refund(reference=5),
    ):
        assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")


def test_concurrent_refunds_never_exceed_the_charge(app: Flask, charge: Call) -> None:
    charge(amount="5.00")

    def call(number: int) -> int:
        answer = app.test_client().post(
            "/v1/refunds",
            json={"charge_key": "k1", "amount": "1.00"},
            headers={**API, "Idempotency-Key": f"r{number}"},
        )
        return answer.status_code

    assert sorted(at_once(12, call)) == [200] * 5 + [409] * 7
