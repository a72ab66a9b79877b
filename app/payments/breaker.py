"""The circuit breaker in front of the payment gateway.

pybreaker says what an outcome does to a breaker; the database row says what the breaker is, for all
processes and over restarts; compare-and-set on the row's version keeps the two honest. The call to
the gateway runs in between, under no lock: `ask` before, `tell` after (docs/adr/0004).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

import pybreaker
from django.conf import settings
from django.utils import timezone

from payments import metrics
from payments.models import CircuitBreaker

if TYPE_CHECKING:
    from datetime import datetime

NAME = "payments"
State = CircuitBreaker.State
# Longer than a charge can take with its retries; then a probe whose process died is given up.
PROBE_SECONDS = 15


class BreakerOpenError(Exception):
    """The gateway is not to be called now; `retry_after` seconds from now it may be."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"payments are unavailable; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Permit:
    """The breaker's yes to one caller; give it back with `tell` or `give_back`."""

    holder: str
    probe: bool
    failures: int = 0  # how many in a row there were when it was given


class _Snapshot(pybreaker.CircuitMemoryStorage):
    """pybreaker's storage for the length of one decision, filled from the row."""

    def __init__(self, row: CircuitBreaker) -> None:
        super().__init__(row.state.replace("_", "-"))
        self._fail_counter = row.failures
        self._opened_at = row.opened_at


def _read() -> CircuitBreaker:
    """Return the row, made closed if it was never there; an existing one is never reset."""
    row = CircuitBreaker.objects.filter(name=NAME).first()
    return row or CircuitBreaker.objects.get_or_create(name=NAME)[0]


def is_closed() -> bool:
    """Whether calls go through as usual."""
    return _read().state == State.CLOSED


def _swap(row: CircuitBreaker, **changes: object) -> bool:
    """Write `changes` unless somebody wrote since `row` was read; say whether it was written."""
    swapped = CircuitBreaker.objects.filter(name=NAME, version=row.version).update(
        version=row.version + 1, **changes
    )
    if swapped and "state" in changes and changes["state"] != row.state:
        failures = changes.get("failures", row.failures)
        metrics.record_transition(NAME, str(changes["state"]), int(str(failures)))
    return bool(swapped)


def _seconds_until(row: CircuitBreaker, now: datetime) -> int:
    """Return in how many whole seconds the next probe may go; 0 when it may go now."""
    if row.state == State.HALF_OPEN and row.probe_until is not None and row.probe_until > now:
        # A probe is under way and will have told within moments.
        return 1
    if row.state == State.OPEN and row.opened_at is not None:
        due = row.opened_at + timedelta(seconds=settings.BREAKER_RESET_SECONDS)
        return max(0, ceil((due - now).total_seconds()))
    return 0


def ask(holder: str) -> Permit:
    """Return leave to call the gateway.

    While half-open only one holder at a time has it; the same holder may ask again.
    Raises BreakerOpenError, with the seconds to wait, when the gateway is not to be called.
    """
    while True:
        row = _read()
        if row.state == State.CLOSED:
            metrics.record_asked(NAME, row.state)
            return Permit(holder, probe=False, failures=row.failures)
        now = timezone.now()
        if row.state == State.HALF_OPEN and row.probe == holder:
            return Permit(holder, probe=True)
        if wait := _seconds_until(row, now):
            metrics.record_asked(NAME, row.state)
            metrics.record_short_circuited()
            raise BreakerOpenError(wait)
        until = now + timedelta(seconds=PROBE_SECONDS)
        if _swap(row, state=State.HALF_OPEN, probe=holder, probe_until=until):
            metrics.record_asked(NAME, State.HALF_OPEN)
            return Permit(holder, probe=True)


def _decide(row: CircuitBreaker, *, succeeded: bool) -> dict[str, object]:
    """Return what pybreaker makes of an outcome, as changes to the row; {} for no change."""
    snapshot = _Snapshot(row)
    rules = pybreaker.CircuitBreaker(
        fail_max=settings.BREAKER_FAIL_MAX,
        reset_timeout=settings.BREAKER_RESET_SECONDS,
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


def tell(permit: Permit, *, succeeded: bool) -> None:
    """Tell how a permitted call ended. A decline is a success: the gateway answered.

    Late news does not count: of a call that began before the breaker opened, or of a probe that was
    given up. In the usual case, closed and well, the database is not asked.
    """
    if succeeded and not permit.probe and not permit.failures:
        return
    while True:
        row = _read()
        expected = State.HALF_OPEN if permit.probe else State.CLOSED
        if row.state != expected or (permit.probe and row.probe != permit.holder):
            return
        changes = _decide(row, succeeded=succeeded)
        if not changes or _swap(row, **changes):
            return


def give_back(permit: Permit) -> None:
    """Give back a permit that was not used; a probe becomes free for the next."""
    while permit.probe:
        row = _read()
        if row.state != State.HALF_OPEN or row.probe != permit.holder:
            return
        if _swap(row, probe="", probe_until=None):
            return
