"""Health checks, registered by each app for its own parts.

    @health_check("Circuit breaker", Harm.NO_SALES)
    def breaker(now: datetime) -> Finding: ...

A check that raises is shown as failed; the others still run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

logger = logging.getLogger("retail.dashboards")


class Harm(IntEnum):
    """What a bad finding means for the shop, the worst first."""

    NO_SALES = 0  # nobody can buy, and this is the cause
    SALES = 1  # some cannot buy
    BOOKS = 2  # money or stock is in doubt
    BACKGROUND = 3  # work waits
    MONITORING = 4  # problems may go unnoticed


class Finding(NamedTuple):
    """State of a part: `good`, `warn`, `bad`, or `calm` (unknown, but not a problem).

    A bad one also says since when, whom it affects, the one next step, and the runbook (an alert's
    name), as far as the check can know.
    """

    state: str
    word: str
    detail: str
    link: str = ""
    since: datetime | None = None
    affected: str = ""
    step: str = ""
    runbook: str = ""


@dataclass(frozen=True)
class Check:
    """A part of the shop and its state."""

    name: str
    finding: Finding
    harm: Harm = Harm.BACKGROUND


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 buyer`, `2 buyers`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


Run = Callable[[datetime], Finding]

Probe = Callable[[], str]

registered: dict[str, Run] = {}
readiness_checks: dict[str, Probe] = {}
_harms: dict[str, Harm] = {}


def health_check(name: str, harm: Harm = Harm.BACKGROUND) -> Callable[[Run], Run]:
    """Register a function that returns the state of the part `name`."""

    def register(run: Run) -> Run:
        registered[name] = run
        _harms[name] = harm
        return run

    return register


def readiness_check(name: str) -> Callable[[Probe], Probe]:
    """Register a cheap function for /readyz that returns "ok", or the problem in one line."""

    def register(probe: Probe) -> Probe:
        readiness_checks[name] = probe
        return probe

    return register


def health(now: datetime) -> list[Check]:
    """Run all checks, in the order of registration."""
    return [Check(name, _safely(name, run, now), _harms[name]) for name, run in registered.items()]


def problems(checks: Iterable[Check]) -> list[Check]:
    """Return the checks that found a problem, the worst first."""
    found = [check for check in checks if check.finding.state in {"bad", "warn"}]
    return sorted(found, key=lambda check: (check.finding.state != "bad", check.harm))


def _safely(name: str, run: Run, now: datetime) -> Finding:
    try:
        return run(now)
    except Exception:
        logger.exception("event=dashboard.check_failed", extra={"check": name})
        step = "Find event=dashboard.check_failed in logs/application.log."
        return Finding("bad", "check failed", "See the log for the error.", step=step)
