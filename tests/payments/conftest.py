"""Fixtures: a fake clock for the breaker, a gateway simulator process for the client."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.gateway_simulator.support import ANSWER_SECONDS, Process
from tests.payments.support import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the breaker's clock with one that tests advance."""
    fake_clock = Clock()
    monkeypatch.setattr("payments.breaker.timezone.now", fake_clock)
    return fake_clock


@pytest.fixture(scope="session")
def gateway_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("gateway")).start()
    yield process
    process.stop()


@pytest.fixture
def gateway(gateway_process: Process, settings: Settings) -> Process:
    """Return a running gateway without faults, with the settings pointing to it."""
    gateway_process.knobs()
    settings.GATEWAY_URL = gateway_process.url
    settings.GATEWAY_CONNECT_TIMEOUT = settings.GATEWAY_READ_TIMEOUT = ANSWER_SECONDS
    return gateway_process
