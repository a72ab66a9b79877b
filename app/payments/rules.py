"""State changes of the circuit breaker, decided by pybreaker."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pybreaker
from django.conf import settings
from django.utils import timezone

from payments.models import CircuitBreaker

if TYPE_CHECKING:
    from datetime import datetime

State = CircuitBreaker.State


class _Snapshot(pybreaker.CircuitBreakerStorage):
    """pybreaker's storage for one decision, initialised from the row."""

    # Plain attributes override the abstract properties of CircuitBreakerStorage.
    state: str = pybreaker.STATE_CLOSED
    counter: int = 0
    success_counter: int = 0
    opened_at: datetime | None = None

    def __init__(self, row: CircuitBreaker) -> None:
        super().__init__(row.name)
        self.state = row.state.replace("_", "-")
        self.counter = row.failures
        self.opened_at = row.opened_at

    def increment_counter(self) -> None:
        """Count a failure."""
        self.counter += 1

    def reset_counter(self) -> None:
        """Forget all failures."""
        self.counter = 0

    def increment_success_counter(self) -> None:
        """Count a success."""
        self.success_counter += 1

    def reset_success_counter(self) -> None:
        """Forget all successes."""
        self.success_counter = 0


def decide(row: CircuitBreaker, *, succeeded: bool) -> dict[str, Any]:
    """Return the changes that an outcome makes to the row; {} if there are none."""
    snapshot = _Snapshot(row)
    rules = pybreaker.CircuitBreaker(
        fail_max=settings.BREAKER_FAIL_MAX,
        state_storage=snapshot,
        throw_new_error_on_trip=False,
    )

    def outcome() -> None:
        if not succeeded:
            raise ConnectionError

    with suppress(ConnectionError):
        rules.call(outcome)
    state = snapshot.state.replace("-", "_")
    if state == row.state and snapshot.counter == row.failures:
        return {}
    opened_at = row.opened_at
    if state == State.OPEN and row.state != State.OPEN:
        opened_at = timezone.now()
    return {
        "state": State(state),
        "failures": snapshot.counter,
        "opened_at": opened_at,
        "probe": "",
        "probe_until": None,
    }
