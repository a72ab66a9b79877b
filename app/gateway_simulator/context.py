"""What the views share: one gateway per application, and the facts of the running request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app, g

from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.metrics import Metrics
from gateway_simulator.settings import Settings


@dataclass(frozen=True)
class Gateway:
    """The parts of one running gateway."""

    settings: Settings
    ledger: Ledger
    faults: Faults
    metrics: Metrics
    sleep: Callable[[float], None]  # seconds; tests put something faster here


def gateway() -> Gateway:
    """Return the gateway of the current application."""
    return cast("Gateway", current_app.extensions["gateway"])


def note(outcome: str | None = None, **facts: Any) -> None:
    """Remember how this request ended and what its log line should tell (never a secret)."""
    if outcome is not None:
        g.outcome = outcome
    g.facts.update(facts)
