"""Health checks, registered by each app for its own parts.

    @health_check("Circuit breaker")
    def breaker(now: datetime) -> Finding: ...

A check that raises is shown as failed; the others still run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

logger = logging.getLogger("retail.dashboards")


class Finding(NamedTuple):
    """State of a part: `good`, `warn`, `bad`, or `calm` (unknown, but not a problem)."""

    state: str
    word: str
    detail: str
    link: str = ""


@dataclass(frozen=True)
class Check:
    """A part of the shop and its state."""

    name: str
    finding: Finding


Run = Callable[[datetime], Finding]

registered: dict[str, Run] = {}


def health_check(name: str) -> Callable[[Run], Run]:
    """Register a function that returns the state of the part `name`."""

    def register(run: Run) -> Run:
        registered[name] = run
        return run

    return register


def health(now: datetime) -> list[Check]:
    """Run all checks, in the order of registration."""
    return [Check(name, _safely(name, run, now)) for name, run in registered.items()]


def _safely(name: str, run: Run, now: datetime) -> Finding:
    try:
        return run(now)
    except Exception:
        logger.exception("event=dashboard.check_failed", extra={"check": name})
        return Finding("bad", "check failed", "See the log for the error.")
