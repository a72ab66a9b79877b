"""What an outcome does to a breaker, as pybreaker has it."""

from __future__ import annotations

from contextlib import suppress

import pybreaker
from django.conf import settings
from django.utils import timezone

from payments.models import CircuitBreaker

State = CircuitBreaker.State


class _Snapshot(pybreaker.CircuitMemoryStorage):
    """pybreaker's storage for the length of one decision, filled from the row."""

    def __init__(self, row: CircuitBreaker) -> None:
        super().__init__(row.state.replace("_", "-"))
        self._fail_counter = row.failures


def decide(row: CircuitBreaker, *, succeeded: bool) -> dict[str, object]:
    """Return what pybreaker makes of an outcome, as changes to the row; {} for no change."""
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
