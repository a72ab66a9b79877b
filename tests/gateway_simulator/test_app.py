import json
import re
import sqlite3
import subprocess
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from gateway_simulator.app import HEADERS
from tests.gateway_simulator.support import API, FAULTS, GOOD, Call, Knobs


@pytest.mark.parametrize(
    "value", [None, "Bearer", "Bearer wrong", "Basic dev-gateway-key", "Bearer dev-faults-token"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("post", path) for path in ("charges", "charges/k/cancel", "refunds")),
        *(("get", path) for path in ("charges", "refunds", "changes")),
    ],
)
def test_api_needs_its_key(client: FlaskClient, method: str, path: str, value: str) -> None:
    headers = {"Idempotency-Key": "k1", **({"Authorization": value} if value else {})}
    answer = getattr(client, method)(f"/v1/{path}", json=GOOD, headers=headers)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/v1/charges", headers=API).get_json() == {"charges": []}


def test_large_bodies_are_refused(client: FlaskClient) -> None:
    for path in ("/v1/charges", "/v1/charges/k1/cancel", "/v1/refunds"):
        answer = client.post(path, data=b" " * (64 * 1024 + 1), headers=API)
        assert (answer.status_code, answer.get_json()["error"]) == (413, "body_too_large")
    answer = client.put("/faults", data=b" " * (64 * 1024 + 1), headers=FAULTS)
    assert answer.status_code == 413
    assert client.get("/v1/charges", headers=API).get_json() == {"charges": []}
    padded = json.dumps(GOOD).encode().ljust(64 * 1024)
    answer = client.post("/v1/charges", data=padded, headers={**API, "Idempotency-Key": "k1"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "code", "error"),
    [
        ("get", "/v1/nothing", 404, "not_found"),
        ("delete", "/v1/charges", 405, "method_not_allowed"),
    ],
)
def test_unknown_addresses_answer_in_json(
    client: FlaskClient, method: str, path: str, code: int, error: str
) -> None:
    answer = getattr(client, method)(path, headers=API)
    assert (answer.status_code, answer.get_json()["error"]) == (code, error)


def test_a_failure_does_not_expose_code_to_the_client(
    app: Flask, client: FlaskClient, charge: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(app.extensions["gateway"].ledger, "charge", fail)
    answer = charge()
    assert (answer.status_code, answer.get_json()) == (
        500,
        {
            "error": "internal_error",
            "message": "The gateway failed. Look up the outcome before you try again.",
        },
    )


def test_health(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok", "simulator": True})

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(app.extensions["gateway"].ledger, "check", fail)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.get_json()["status"]) == (503, "unavailable")
    assert answer.get_json()["simulator"] is True


@pytest.mark.parametrize("given", ["a", "Ab9._-x", "x" * 64])
def test_the_shops_request_id_is_kept(client: FlaskClient, given: str) -> None:
    headers = {"X-Request-ID": given, **API}
    assert client.get("/v1/charges", headers=headers).headers["X-Request-ID"] == given


@pytest.mark.parametrize("headers", [{}, FAULTS])
def test_a_strangers_request_id_is_only_logged(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    with caplog.at_level("INFO"):
        answer = client.get("/", headers={"X-Request-ID": "an-order", **headers})
    assert answer.headers["X-Request-ID"] != "an-order"
    [record] = [record for record in caplog.records if record.message == "event=gateway.page"]
    assert record.__dict__["extra"]["client_request_id"] == "an-order"


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/nowhere", "/v1/charges"])
def test_every_answer_has_the_security_headers(client: FlaskClient, path: str) -> None:
    assert dict(client.get(path).headers).items() >= HEADERS.items()


@pytest.mark.parametrize("given", ["", "-a", "a b", "x" * 65, 'a"b'])
def test_bad_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    headers = {"X-Request-ID": given, **API}
    made = client.get("/v1/charges", headers=headers).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)


def samples(client: FlaskClient) -> dict[tuple[str, ...], float]:
    text = client.get("/metrics").get_data(as_text=True)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count(charge: Call, client: FlaskClient, knobs: Knobs) -> None:
    before = samples(client)
    charge("a")
    charge("a")
    charge("b", token="tok_declined")
    charge("c", amount="0")
    client.post("/v1/charges/d/cancel", headers=API)
    charge("d")
    knobs(lost_answer_share=1)
    charge("e")
    body = {"charge_key": "a", "amount": "1.00"}
    client.post("/v1/refunds", json=body, headers={**API, "Idempotency-Key": "r"})
    after = samples(client)
    assert after.keys() == before.keys()  # all series exist from the start
    for name, grown in {
        ("gateway_requests_total", "charge", "ok"): 2,
        ("gateway_requests_total", "charge", "declined"): 1,
        ("gateway_requests_total", "charge", "refused"): 1,
        ("gateway_requests_total", "cancelled", "charge"): 1,
        ("gateway_requests_total", "charge", "lost_answer"): 1,
        ("gateway_requests_total", "cancel", "ok"): 1,
        ("gateway_requests_total", "faults", "ok"): 1,
        ("gateway_request_duration_seconds_count", "charge"): 6,
        ("gateway_charges_total", "approved"): 2,
        ("gateway_charges_total", "declined"): 1,
        ("gateway_charges_total", "cancelled"): 1,
        ("gateway_requests_total", "lost_answer", "refund"): 1,
        ("gateway_changes_total", "refund.succeeded"): 1,
        ("gateway_changes_total", "dispute.opened"): 0,
        ("gateway_fault_active", "lost_answer"): 1,
        ("gateway_fault_active", "hold"): 0,
        ("gateway_fault_active", "off"): 0,
        ("gateway_charges_held",): 0,
    }.items():
        assert after[name] - before[name] == grown, name
    assert after["process_resident_memory_bytes",] > 0
    assert not [name for name in after if name[0].endswith("_created")]


def test_promtool_accepts_the_gateways_metrics(client: FlaskClient, promtool: str) -> None:
    text = client.get("/metrics").data
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
