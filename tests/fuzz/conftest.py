"""A populated shop for each fuzz test, and a summary of all responses at the end of the run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.fuzz.fuzzer import Fuzzer, Tally
    from tests.support import ScriptedGateway

_TALLIES: dict[str, Tally] = {}
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2000"))
MAX_SHOWN = 20  # problems listed in the summary
SEED = int(os.environ.get("FUZZ_SEED", "20261122"))


@dataclass
class FuzzSession:
    """The fuzzer of a test, with its random numbers and the request budget of the whole run."""

    fuzzer: Fuzzer
    rng: Random
    requests: int = REQUESTS


@pytest.fixture
def session(
    request: pytest.FixtureRequest,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    scripted_gateway: ScriptedGateway,
) -> Iterator[FuzzSession]:
    """Fuzz a shop with users and orders; afterwards nothing in it may have changed."""
    from tests.fuzz.fuzzer import Fuzzer  # noqa: PLC0415 - Django comes first
    from tests.fuzz.observers import observed  # noqa: PLC0415
    from tests.fuzz.world import make_world  # noqa: PLC0415

    settings.THROTTLE_CHECKOUT_LIMIT = settings.THROTTLE_PASSWORD_RESET_LIMIT = 10**9
    settings.THROTTLE_REGISTER_LIMIT = settings.THROTTLE_SEARCH_LIMIT = 10**9
    settings.LOGIN_CLIENT_FAILURE_LIMIT = settings.THROTTLE_PASSWORD_RESET_CLIENT_LIMIT = 10**9
    world = make_world()
    with observed(monkeypatch) as (database, errors):
        fuzzer = Fuzzer(world, database, errors)
        yield FuzzSession(fuzzer, Random(SEED))  # noqa: S311 - not for security
        _TALLIES[request.node.name] = fuzzer.tally
        assert database.differences() == {}
        assert len(fuzzer.tally.problems) == 0, "see the problems below the table of responses"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed, so that a run can be repeated, and the responses."""
    for name, tally in _TALLIES.items():
        terminalreporter.section(f"{name}: FUZZ_SEED={SEED} FUZZ_REQUESTS={REQUESTS}")
        for line in [*tally.table(), *tally.problems[:MAX_SHOWN]]:
            terminalreporter.line(line)
    _TALLIES.clear()
