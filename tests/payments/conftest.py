"""A clock for the tests of the breaker, a real gateway for those of the client."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.gateway_simulator.support import ANSWER_SECONDS, Process
from tests.payments.support import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that the breaker looks at."""
    made = Clock()
    monkeypatch.setattr("payments.breaker.timezone.now", made)
    return made


@pytest.fixture(scope="session")
def gateway_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("gateway")).start()
    yield process
    process.stop()


@pytest.fixture
def gateway(gateway_process: Process, settings: Settings) -> Process:
    """Return a gateway without faults, which the shop's settings name."""
    gateway_process.knobs()
    settings.GATEWAY_URL = gateway_process.url
    settings.GATEWAY_CONNECT_TIMEOUT = settings.GATEWAY_READ_TIMEOUT = ANSWER_SECONDS
    return gateway_process
