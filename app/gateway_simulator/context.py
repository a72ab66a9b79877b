"""Shared by the views: the application's gateway, and the log fields of the current request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app, g

from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.metrics import Metrics
from gateway_simulator.refunds import Refunds
from gateway_simulator.settings import Settings


@dataclass(frozen=True)
class Gateway:
    """The parts of one running gateway."""

    settings: Settings
    ledger: Ledger
    refunds: Refunds
    faults: Faults
    metrics: Metrics
    sleep: Callable[[float], None]  # seconds; tests replace it


def gateway() -> Gateway:
    """Return the current application's gateway."""
    return cast("Gateway", current_app.extensions["gateway"])


def note(outcome: str | None = None, **fields: Any) -> None:
    """Set the outcome of this request and add fields to its log line (never secrets)."""
    if outcome is not None:
        g.outcome = outcome
    g.fields.update(fields)
