"""A shop in use for each test, and the table of what came of all requests at the end of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

    from tests.fuzz.shots import Gun, Tally
    from tests.support import ScriptedGateway

_TALLIES: dict[str, Tally] = {}
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2000"))
SHOWN = 20  # of what was wrong
SEED = int(os.environ.get("FUZZ_SEED", "20261122"))


@dataclass
class Range:
    """What a test shoots with: the number of requests it may use is for all tests together."""

    gun: Gun
    rng: Random
    requests: int = REQUESTS


@pytest.fixture
def shooting(
    request: pytest.FixtureRequest,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    scripted_gateway: ScriptedGateway,
) -> Iterator[Range]:
    """Open a shop with people and orders in it; at the end nothing in it may have changed."""
    from tests.fuzz.shots import Gun  # noqa: PLC0415 - Django comes first
    from tests.fuzz.watch import watching  # noqa: PLC0415
    from tests.fuzz.world import make_world  # noqa: PLC0415

    settings.THROTTLE_CHECKOUT_LIMIT = settings.THROTTLE_PASSWORD_RESET_LIMIT = 10**9
    world = make_world()
    with watching(monkeypatch) as (database, mistakes):
        gun = Gun(world, database, mistakes)
        yield Range(gun, Random(SEED))  # noqa: S311 - no secret
        _TALLIES[request.node.name] = gun.tally
        assert database.differences() == {}
        assert len(gun.tally.wrong) == 0, "see what was wrong below the table of answers"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the seed, so that a run can be repeated, and what came of it."""
    for name, tally in _TALLIES.items():
        terminalreporter.section(f"{name}: FUZZ_SEED={SEED} FUZZ_REQUESTS={REQUESTS}")
        for line in [*tally.table(), *tally.wrong[:SHOWN]]:
            terminalreporter.line(line)
    _TALLIES.clear()
