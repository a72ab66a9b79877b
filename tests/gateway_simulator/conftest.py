"""A gateway in this process (client) or, if the socket matters, in a separate one (process)."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway_simulator import settings
from gateway_simulator.app import create_app
from gateway_simulator.ledger import Ledger
from tests.gateway_simulator.support import API, FAULTS, GOOD, Call, Clock, Knobs, Process


@pytest.fixture
def sleeps() -> list[float]:
    """Requested sleeps of the gateway, in seconds."""
    return []


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Created once and copied, because creation syncs to disk several times."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite3"
    ledger = Ledger(path)
    ledger.create()
    ledger.close()
    return path


@pytest.fixture
def clock() -> Clock:
    """Return the clock of refunds."""
    return Clock()


@pytest.fixture
def app(tmp_path: Path, sleeps: list[float], clock: Clock, empty_ledger: Path) -> Iterator[Flask]:
    path = shutil.copy(empty_ledger, tmp_path / "ledger.sqlite3")
    chosen = settings.read({"DEBUG": "True", "GATEWAY_LEDGER": str(path)})
    rng = random.Random(7)  # noqa: S311 - a fixed chance
    app = create_app(chosen, rng=rng, sleep=sleeps.append, clock=clock)
    yield app
    app.extensions["gateway"].ledger.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def charge(client: FlaskClient) -> Call:
    def charge(key: str = "k1", **changes: Any) -> TestResponse:
        body = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
        return client.post("/v1/charges", json=body, headers={**API, "Idempotency-Key": key})

    return charge


@pytest.fixture
def refund(client: FlaskClient) -> Call:
    def refund(
        key: str = "r1", amount: Any = "5.00", charge_key: Any = "k1", **more: Any
    ) -> TestResponse:
        body = {"charge_key": charge_key, "amount": amount, **more}
        return client.post("/v1/refunds", json=body, headers={**API, "Idempotency-Key": key})

    return refund


@pytest.fixture
def knobs(client: FlaskClient) -> Knobs:
    def knobs(**changes: Any) -> None:
        assert client.put("/faults", json=changes, headers=FAULTS).status_code == 200

    return knobs


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One gateway per module; each test uses its own keys and sets its knobs."""
    gateway = Process(tmp_path_factory.mktemp("gateway")).start()
    yield gateway
    gateway.stop()
