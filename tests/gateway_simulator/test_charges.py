import shutil
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway_simulator import settings
from gateway_simulator.app import create_app
from tests.gateway_simulator.support import API, GOOD, Call


def test_good_card_is_approved(charge: Call) -> None:
    answer = charge("order-1_A")
    charge_id = answer.get_json()["charge_id"]
    assert (answer.status_code, charge_id[:3], len(charge_id)) == (200, "ch_", 27)
    assert answer.get_json() == {
        "status": "approved",
        "key": "order-1_A",
        "charge_id": charge_id,
        "amount": "12.50",
        "currency": "EUR",
        "reference": "VT-ABC",
    }
    assert "Idempotent-Replayed" not in answer.headers


@pytest.mark.parametrize(
    ("token", "reason"),
    [("tok_declined", "card_declined"), ("tok_else", "unknown_token"), ("4111", "unknown_token")],
)
def test_other_cards_are_declined(charge: Call, token: str, reason: str) -> None:
    answer = charge(token=token)
    assert answer.status_code == 402
    assert answer.get_json() == {
        "status": "declined",
        "reason": reason,
        "key": "k1",
        "amount": "12.50",
        "currency": "EUR",
        "reference": "VT-ABC",
    }


def test_slow_card_waits_only_once(charge: Call, sleeps: list[float]) -> None:
    assert charge(token="tok_slow").get_json()["status"] == "approved"
    assert sleeps == [1.5]
    assert charge(token="tok_slow").headers["Idempotent-Replayed"] == "true"
    assert sleeps == [1.5]


def test_same_key_gets_the_same_answer(charge: Call) -> None:
    for key, token, code in [("a", "tok_good", 200), ("b", "tok_declined", 402)]:
        first = charge(key, token=token)
        again = charge(key, token="tok_good", reference="VT-OTHER")
        assert (first.status_code, again.status_code) == (code, code)
        assert again.data == first.data
        assert again.headers["Idempotent-Replayed"] == "true"


def test_amounts_are_compared_as_amounts(charge: Call) -> None:
    assert charge(amount="12.5").get_json()["amount"] == "12.50"
    assert charge(amount="12.50").status_code == 200
    assert charge(amount="012.50").status_code == 200


@pytest.mark.parametrize("change", [{"amount": "12.51"}, {"currency": "USD"}])
def test_key_with_another_amount_is_refused(
    charge: Call, client: FlaskClient, change: dict[str, Any]
) -> None:
    charge()
    answer = charge(**change)
    assert (answer.status_code, answer.get_json()["error"]) == (422, "key_reused")
    assert client.get("/v1/charges/k1", headers=API).get_json()["amount"] == "12.50"


@pytest.mark.parametrize("amount", ["0.01", "1", "1.5", "999999.99"])
def test_good_amounts(charge: Call, amount: Any) -> None:
    assert charge(amount=amount).status_code == 200


@pytest.mark.parametrize(
    "amount",
    [
        *("0", "0.00", "-1", "1.234", "1000000", "1e2", "NaN", "", " 1", "1\n", "1,5", "٣", "1_0"),
        *(".5", "1.", 12.5, 12, True, None, ["1"]),
    ],
)
def test_bad_amounts(charge: Call, client: FlaskClient, amount: Any) -> None:
    answer = charge(amount=amount)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")
    assert answer.get_json()["message"].startswith("amount must be a string such as '12.50'")
    assert client.get("/v1/charges/k1", headers=API).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        *({"currency": value} for value in ("eur", "EURO", "EUR\n", None, 978)),
        *({"token": value} for value in (None, "", 7, "x" * 101)),
        *({"reference": value} for value in (None, "", "a\nb", "x" * 101, "\ud800")),
        {"reference": {}},
    ],
)
def test_bad_bodies(charge: Call, change: dict[str, Any]) -> None:
    answer = charge(**change)
    (name,) = change
    assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")
    assert answer.get_json()["message"].startswith(f"{name} must be ")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"null", b"[" * 60_000])
def test_body_that_is_not_an_object(client: FlaskClient, body: bytes) -> None:
    answer = client.post("/v1/charges", data=body, headers={**API, "Idempotency-Key": "k1"})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")


@pytest.mark.parametrize("key", [None, "", "x" * 65, "a b", "a/b", "ü", "a."])
def test_bad_keys(client: FlaskClient, key: str) -> None:
    headers = dict(API) if key is None else {**API, "Idempotency-Key": key}
    answer = client.post("/v1/charges", json=GOOD, headers=headers)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")
    assert "Idempotency-Key" in answer.get_json()["message"]


def test_longest_key(charge: Call) -> None:
    assert charge("x" * 64).status_code == 200


def test_cancelled_key_is_never_charged(charge: Call, client: FlaskClient) -> None:
    for _ in range(2):
        answer = client.post("/v1/charges/k1/cancel", headers=API)
        assert (answer.status_code, answer.get_json()) == (
            200,
            {"status": "cancelled", "key": "k1"},
        )
    first, again = charge(), charge(amount="1")
    for answer in (first, again):
        assert (answer.status_code, answer.get_json()) == (
            409,
            {"status": "cancelled", "key": "k1"},
        )
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("token", ["tok_good", "tok_declined"])
def test_cancel_does_not_change_an_outcome(charge: Call, client: FlaskClient, token: str) -> None:
    outcome = charge(token=token)
    cancelled = client.post("/v1/charges/k1/cancel", headers=API)
    assert (cancelled.status_code, cancelled.get_json()) == (200, outcome.get_json())
    assert charge(token=token).data == outcome.data


def test_status_of_a_key(charge: Call, client: FlaskClient) -> None:
    unknown = client.get("/v1/charges/k1", headers=API)
    assert (unknown.status_code, unknown.get_json()) == (404, {"status": "not_found", "key": "k1"})
    outcome = charge()
    answer = client.get("/v1/charges/k1", headers=API)
    assert (answer.status_code, answer.get_json()) == (200, outcome.get_json())
    assert client.get("/v1/charges/a.b", headers=API).status_code == 400


def test_rows_are_in_order_with_their_calls(charge: Call, client: FlaskClient) -> None:
    charge("b")
    charge("a", token="tok_declined", amount="3")
    charge("b")
    charge("b", amount="9")  # refused, but counted as a call
    client.post("/v1/charges/c/cancel", headers=API)
    rows = client.get("/v1/charges", headers=API).get_json()["charges"]
    assert all(row.pop("created_at").endswith("+00:00") for row in rows)
    assert rows == [
        {
            "id": 1,
            "key": "b",
            "status": "approved",
            "amount": "12.50",
            "currency": "EUR",
            "reference": "VT-ABC",
            "calls": 3,
            "disputed": False,
            "refunded": "0.00",
        },
        {
            "id": 2,
            "key": "a",
            "status": "declined",
            "amount": "3.00",
            "currency": "EUR",
            "reference": "VT-ABC",
            "calls": 1,
            "disputed": False,
            "refunded": "0.00",
        },
        {
            "id": 3,
            "key": "c",
            "status": "cancelled",
            "amount": None,
            "currency": None,
            "reference": None,
            "calls": 0,
            "disputed": False,
            "refunded": "0.00",
        },
    ]


def test_rows_by_page(charge: Call, client: FlaskClient) -> None:
    for key in "abc":
        charge(key)

    def keys(query: str) -> list[str]:
        return [row["key"] for row in client.get(query, headers=API).get_json()["charges"]]

    assert keys("/v1/charges?limit=2") == ["a", "b"]
    assert keys("/v1/charges?after=2&limit=1000") == ["c"]
    assert keys("/v1/charges?after=3") == []
    for query in ("limit=0", "limit=1001", "limit=x", "after=-1", "after=9223372036854775808"):
        answer = client.get(f"/v1/charges?{query}", headers=API)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")


def test_rows_of_some_keys_with_their_refunds(charge: Call, client: FlaskClient) -> None:
    for key in "abc":
        charge(key)
    for number, (key, amount) in enumerate((("a", "1.25"), ("c", "0.50"), ("a", "2"))):
        body = {"charge_key": key, "amount": amount}
        headers = {**API, "Idempotency-Key": f"r{number}"}
        assert client.post("/v1/refunds", json=body, headers=headers).status_code == 200

    def refunded(query: str) -> list[tuple[str, str]]:
        rows = client.get(query, headers=API).get_json()["charges"]
        return [(row["key"], row["refunded"]) for row in rows]

    assert refunded("/v1/charges?key=c&key=unknown&key=a") == [("a", "3.25"), ("c", "0.50")]
    assert refunded("/v1/charges?key=unknown") == []
    assert refunded("/v1/charges?after=1") == [("b", "0.00"), ("c", "0.50")]
    fifty = "&".join(f"key={number}" for number in range(50))
    assert refunded(f"/v1/charges?{fifty}") == []
    for query in (f"{fifty}&key=a", "key=", "key=a%20b", f"key={'x' * 65}"):
        answer = client.get(f"/v1/charges?{query}", headers=API)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "bad_request")


def test_refunds_are_in_order_and_paginated(charge: Call, client: FlaskClient) -> None:
    charge("a")
    for number in range(3):
        body = {"charge_key": "a", "amount": f"{number + 1}.00"}
        headers = {**API, "Idempotency-Key": f"r{number}"}
        client.post("/v1/refunds", json=body, headers=headers)

    def rows(query: str) -> list[dict[str, object]]:
        refunds: list[dict[str, object]] = client.get(query, headers=API).get_json()["refunds"]
        return refunds

    [first] = rows("/v1/refunds?limit=1")
    assert str(first.pop("refund_id")).startswith("re_")
    assert first == {
        "id": 1,
        "key": "r0",
        "charge_key": "a",
        "reference": None,
        "status": "succeeded",
        "reason": None,
        "amount": "1.00",
        "currency": "EUR",
        "created_at": "2026-01-01T00:00:00.000+00:00",
        "updated_at": "2026-01-01T00:00:00.000+00:00",
    }
    assert [row["amount"] for row in rows("/v1/refunds?after=1")] == ["2.00", "3.00"]
    assert rows("/v1/refunds?after=3") == []
    assert [row["id"] for row in rows("/v1/refunds?charge_key=a&after=1&limit=1")] == [2]
    assert rows("/v1/refunds?charge_key=b") == []
    for query in ("after=x", "charge_key=", "charge_key=a%20b"):
        assert client.get(f"/v1/refunds?{query}", headers=API).status_code == 400
    assert client.get("/v1/refunds").status_code == 401


@pytest.mark.parametrize(
    ("amount", "status"), [("4.99", 400), ("5.00", 200), ("2000000", 200), ("2000000.01", 400)]
)
def test_amounts_within_other_limits(
    tmp_path: Path, empty_ledger: Path, amount: str, status: int
) -> None:
    limits = {"GATEWAY_MIN_AMOUNT": "5.00", "GATEWAY_MAX_AMOUNT": "2000000"}
    path = shutil.copy(empty_ledger, tmp_path / "ledger.sqlite3")
    app = create_app(settings.read({"DEBUG": "True", "GATEWAY_LEDGER": str(path), **limits}))
    headers = {**API, "Idempotency-Key": "k"}
    answer = app.test_client().post("/v1/charges", json={**GOOD, "amount": amount}, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert "from 5.00 to 2000000, up to two decimals" in answer.get_json()["message"]
    app.extensions["gateway"].ledger.close()
