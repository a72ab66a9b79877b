import sqlite3
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.gateway_simulator.support import API, GOOD, Call, at_once


def test_concurrent_calls_with_one_key_charge_once(app: Flask, client: FlaskClient) -> None:
    def call(_number: int) -> TestResponse:
        return app.test_client().post(
            "/v1/charges", json=GOOD, headers={**API, "Idempotency-Key": "one"}
        )

    answers = at_once(16, call)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.data for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    (row,) = client.get("/v1/charges", headers=API).get_json()["charges"]
    assert row["calls"] == 16


def test_concurrent_charge_and_cancel_agree(app: Flask, client: FlaskClient) -> None:
    def call(number: int) -> Any:
        http = app.test_client()
        key = f"k{number // 2}"
        if number % 2:
            return http.post(f"/v1/charges/{key}/cancel", headers=API).get_json()
        return http.post(
            "/v1/charges", json=GOOD, headers={**API, "Idempotency-Key": key}
        ).get_json()

    answers = at_once(24, call)
    for charged, cancelled in zip(answers[::2], answers[1::2], strict=True):
        assert charged == cancelled


def test_ledger_survives_a_restart(app: Flask, charge: Call, tmp_path: Path) -> None:
    charge()
    app.extensions["gateway"].ledger.close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite3")
    assert db.execute("SELECT key, status, hundredths FROM charges").fetchall() == [
        ("k1", "approved", 1250)
    ]
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    ledger = app.extensions["gateway"].ledger
    assert ledger.connection().execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert charge().headers["Idempotent-Replayed"] == "true"
