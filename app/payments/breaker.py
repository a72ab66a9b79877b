"""The circuit breaker in front of the payment gateway.

pybreaker decides what an outcome changes. A database row stores the state, shared by all processes
and kept across restarts, and is updated by compare-and-set on its version. Callers `acquire` a
permit, call the gateway without holding a lock and `report` the outcome. While an operator forces
the breaker open or closed, outcomes change nothing (docs/adr/0004).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from payments import metrics
from payments.models import FORCE_MINUTES, REASON_LENGTH, CircuitBreaker
from payments.rules import decide
from retail.clocks import Countdown
from retail.db.prepared import Statement, columns, instance

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NAME = "payments"
_ROW = Statement(
    "breaker",
    f"SELECT {columns(CircuitBreaker, 'breaker')} FROM payments_circuitbreaker breaker "  # noqa: S608 - interpolates only column names
    "WHERE name = %(name)s",
    {"name": "text"},
)
State = CircuitBreaker.State
# Longer than a charge with all retries. A probe that takes longer is abandoned.
PROBE_SECONDS = 15


class BreakerOpenError(Exception):
    """The gateway must not be called before `retry_after` seconds from now."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"payments are unavailable; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True)
class Permit:
    """Permission for one caller; return it with `report` or `release`."""

    holder: str
    probe: bool
    failures: int = 0  # consecutive failures when the permit was issued
    # The last opening before the permit was issued. A later one makes its outcome obsolete.
    opened_at: datetime | None = field(default=None, compare=False)


_rest, _probing = Countdown(), Countdown()


def _read() -> CircuitBreaker:
    """Return the row. A missing row is created closed; an existing one is never reset.

    The first read after a force has expired ends the force.
    """
    while True:
        rows = _ROW.rows({"name": NAME})
        row = (
            instance(CircuitBreaker, rows[0])
            if rows
            else CircuitBreaker.objects.get_or_create(name=NAME)[0]
        )
        if not row.force_is_over:
            return row
        _end_force(row, user_id=None)


def is_closed() -> bool:
    """Whether the breaker lets all calls through."""
    return _read().state == State.CLOSED


def _compare_and_set(row: CircuitBreaker, **changes: object) -> bool:
    """Write `changes` if the row is unchanged since it was read; return whether it was written."""
    moved = "state" in changes and changes["state"] != row.state
    if moved:
        changes["open_since"] = _open_since(row, str(changes["state"]))
    updated = CircuitBreaker.objects.filter(name=NAME, version=row.version).update(
        version=row.version + 1, **changes
    )
    if updated and moved:
        failures = int(str(changes.get("failures", row.failures)))
        _on_commit(metrics.record_transition, NAME, row.state, str(changes["state"]), failures)
    return bool(updated)


def _open_since(row: CircuitBreaker, to: str) -> datetime | None:
    """Return the start of the outage after a change of state; None if it ends."""
    if to == State.CLOSED:
        return None
    return timezone.now() if row.state == State.CLOSED else row.open_since or row.opened_at


def _on_commit(record: Callable[..., None], *args: object) -> None:
    """Call `record` after the commit: the admin forces the breaker inside a transaction."""
    transaction.on_commit(partial(record, *args))


def _seconds_until(row: CircuitBreaker, now: datetime) -> int:
    """Return the seconds until the next probe, rounded up; 0 if it may start now."""
    if row.state == State.HALF_OPEN and row.probe_until is not None:
        # A probe in progress usually ends within a second.
        return 1 if _probing.left(row.probe_until, now, PROBE_SECONDS) else 0
    if row.forced_until is not None:
        # An operator may end the force early, so never return more than the usual reset time.
        wait = min(settings.BREAKER_RESET_SECONDS, (row.forced_until - now).total_seconds())
        return max(1, ceil(wait))
    if row.state == State.OPEN and row.opened_at is not None:
        return ceil(_rest_left(row.opened_at, now))
    return 0


def _rest_left(opened_at: datetime, now: datetime) -> float:
    """Return the seconds until an open breaker has rested."""
    rest = settings.BREAKER_RESET_SECONDS
    return _rest.left(opened_at + timedelta(seconds=rest), now, rest)


def acquire(
    holder: str,
    known_row: CircuitBreaker | None = None,
    *,
    may_probe: bool = True,
    is_payment: bool = True,
) -> Permit:
    """Return a permit to call the gateway. `known_row` saves a read if the caller just read it.

    While half-open, only one holder at a time gets a permit; the same holder may acquire it again.
    With `may_probe` off, for callers that do not call the gateway soon, the permit leaves the probe
    to others. Without `is_payment`, this is no payment attempt in the metrics. Raises
    BreakerOpenError, with the seconds to wait, if the gateway must not be called.
    """
    while True:
        row = _read() if known_row is None or known_row.force_is_over else known_row
        known_row = None  # reread after a lost compare-and-set
        permit = Permit(holder, probe=False, failures=row.failures, opened_at=row.opened_at)
        seen = metrics.record_state_seen if is_payment else _unseen
        if row.state == State.CLOSED:
            seen(NAME, row.state)
            return permit
        now = timezone.now()
        if row.state == State.HALF_OPEN and row.probe == holder:
            return replace(permit, probe=True)
        if wait := _seconds_until(row, now):
            seen(NAME, row.state)
            if is_payment:
                metrics.record_short_circuited()
            raise BreakerOpenError(wait)
        if not may_probe:
            seen(NAME, row.state)
            return permit
        until = now + timedelta(seconds=PROBE_SECONDS)
        if _compare_and_set(row, state=State.HALF_OPEN, probe=holder, probe_until=until):
            _probing.left(until, now, PROBE_SECONDS)  # its time begins here
            seen(NAME, State.HALF_OPEN)
            return replace(permit, probe=True)


def _unseen(_breaker: str, _state: str) -> None:
    """Record no payment attempt."""


def report(permit: Permit, *, succeeded: bool) -> None:
    """Report the outcome of a permitted call. A decline is a success: the gateway answered.

    Late outcomes are ignored: those of calls that began before the breaker last opened, even if it
    has closed since, and of abandoned probes. While the breaker is forced, all are ignored. A
    success of a closed breaker without failures makes no query.
    """
    if succeeded and not permit.probe and not permit.failures:
        return
    while True:
        row = _read()
        expected = State.HALF_OPEN if permit.probe else State.CLOSED
        if row.state != expected or row.forced_state or row.opened_at != permit.opened_at:
            return
        if permit.probe and row.probe != permit.holder:
            return
        changes = decide(row, succeeded=succeeded)
        if not changes:
            return
        if _compare_and_set(row, **changes):
            if changes["state"] == State.OPEN:
                opened_at: datetime = changes["opened_at"]
                _rest_left(opened_at, opened_at)  # the rest begins here
            return


def release(permit: Permit) -> None:
    """Return an unused permit; a probe becomes available to the next caller."""
    while permit.probe:
        row = _read()
        if row.state != State.HALF_OPEN or row.probe != permit.holder:
            return
        if _compare_and_set(row, probe="", probe_until=None):
            return


def force(*, state: str, reason: str, minutes: int, by: str, user_id: int | None) -> datetime:
    """Force the breaker open or closed for `minutes`; return when the force ends.

    `by` is the operator's username; the log records `user_id` instead. Replaces an earlier force
    and cancels a probe in progress. Raises ValueError for a state that cannot be forced, an empty
    or too long reason, or a duration out of range.
    """
    least, most = FORCE_MINUTES
    if state not in CircuitBreaker.FORCIBLE or not least <= minutes <= most:
        raise ValueError(f"A breaker can be forced open or closed for {least} to {most} minutes.")
    if not by or not 0 < len(reason) <= REASON_LENGTH:
        raise ValueError(f"A username and a reason of 1 to {REASON_LENGTH} characters are needed.")
    to = State(state)
    while True:
        row, now = _read(), timezone.now()
        until = now + timedelta(minutes=minutes)
        if _compare_and_set(
            row,
            state=to,
            failures=row.failures if to == State.OPEN else 0,
            opened_at=now if to == State.OPEN != row.state else row.opened_at,
            probe="",
            probe_until=None,
            forced_state=to,
            forced_reason=reason,
            forced_until=until,
            forced_by=by,
        ):
            _on_commit(metrics.record_forced, NAME, str(to), reason, until, user_id)
            return until


def unforce(*, user_id: int | None) -> bool:
    """Return the breaker to automatic: half-open if it was forced open, else closed.

    Returns whether it was forced.
    """
    while True:
        row = _read()
        if not row.forced_state:
            return False
        if _end_force(row, user_id=user_id):
            return True


def _end_force(row: CircuitBreaker, *, user_id: int | None) -> bool:
    """End a force if the row is unchanged. `user_id` is None if the force expired."""
    to = row.state_after_force
    ended = _compare_and_set(
        row,
        state=to,
        failures=0,
        forced_state="",
        forced_reason="",
        forced_until=None,
        forced_by="",
    )
    if ended:
        _on_commit(metrics.record_unforced, NAME, str(to), user_id)
    return ended
