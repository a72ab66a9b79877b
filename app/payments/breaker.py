"""The circuit breaker in front of the payment gateway.

pybreaker says what an outcome does to a breaker; the database row says what the breaker is, for all
processes and over restarts; compare-and-set on the row's version keeps the two honest. The call to
the gateway runs in between, under no lock: `ask` before, `tell` after. An operator may force it
open or closed for a while: then outcomes change nothing (docs/adr/0004).
"""

from __future__ import annotations

from dataclasses import dataclass
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
from retail.db.prepared import Statement, columns, instance

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NAME = "payments"
_ROW = Statement(
    "breaker",
    f"SELECT {columns(CircuitBreaker, 'breaker')} FROM payments_circuitbreaker breaker "  # noqa: S608 - only names of columns are put in
    "WHERE name = %(name)s",
    {"name": "text"},
)
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


def _read() -> CircuitBreaker:
    """Return the row, made closed if it was never there; an existing one is never reset.

    Of a force whose time is over, the first who reads makes an end.
    """
    while True:
        found = _ROW.rows({"name": NAME})
        row = (
            instance(CircuitBreaker, found[0])
            if found
            else CircuitBreaker.objects.get_or_create(name=NAME)[0]
        )
        if not row.force_is_over:
            return row
        _end_force(row, user_id=None)


def is_closed() -> bool:
    """Whether calls go through as usual."""
    return _read().state == State.CLOSED


def _swap(row: CircuitBreaker, **changes: object) -> bool:
    """Write `changes` unless somebody wrote since `row` was read; say whether it was written."""
    swapped = CircuitBreaker.objects.filter(name=NAME, version=row.version).update(
        version=row.version + 1, **changes
    )
    if swapped and "state" in changes and changes["state"] != row.state:
        failures = int(str(changes.get("failures", row.failures)))
        _note(metrics.record_transition, NAME, str(changes["state"]), failures)
    return bool(swapped)


def _note(record: Callable[..., None], *facts: object) -> None:
    """Record once it holds: the admin forces inside a transaction."""
    transaction.on_commit(partial(record, *facts))


def _seconds_until(row: CircuitBreaker, now: datetime) -> int:
    """Return in how many whole seconds the next probe may go; 0 when it may go now."""
    if row.state == State.HALF_OPEN and row.probe_until is not None and row.probe_until > now:
        # A probe is under way and will have told within moments.
        return 1
    if row.forced_until is not None:
        # It may end earlier, by hand; and no buyer is told more than the usual rest.
        rest = min(settings.BREAKER_RESET_SECONDS, (row.forced_until - now).total_seconds())
        return max(1, ceil(rest))
    if row.state == State.OPEN and row.opened_at is not None:
        due = row.opened_at + timedelta(seconds=settings.BREAKER_RESET_SECONDS)
        return max(0, ceil((due - now).total_seconds()))
    return 0


def acquire(holder: str, seen: CircuitBreaker | None = None) -> Permit:
    """Return leave to call the gateway; the row is read unless the caller has just `seen` it.

    While half-open only one holder at a time has it; the same holder may ask again.
    Raises BreakerOpenError, with the seconds to wait, when the gateway is not to be called.
    """
    while True:
        row = _read() if seen is None or seen.force_is_over else seen
        seen = None  # whoever was quicker has changed it
        if row.state == State.CLOSED:
            metrics.record_state_seen(NAME, row.state)
            return Permit(holder, probe=False, failures=row.failures)
        now = timezone.now()
        if row.state == State.HALF_OPEN and row.probe == holder:
            return Permit(holder, probe=True)
        if wait := _seconds_until(row, now):
            metrics.record_state_seen(NAME, row.state)
            metrics.record_short_circuited()
            raise BreakerOpenError(wait)
        until = now + timedelta(seconds=PROBE_SECONDS)
        if _swap(row, state=State.HALF_OPEN, probe=holder, probe_until=until):
            metrics.record_state_seen(NAME, State.HALF_OPEN)
            return Permit(holder, probe=True)


def report(permit: Permit, *, succeeded: bool) -> None:
    """Tell how a permitted call ended. A decline is a success: the gateway answered.

    Late news does not count: of a call that began before the breaker opened, or of a probe that was
    given up. Nor does any while the breaker is forced. In the usual case, closed and well, the
    database is not asked.
    """
    if succeeded and not permit.probe and not permit.failures:
        return
    while True:
        row = _read()
        expected = State.HALF_OPEN if permit.probe else State.CLOSED
        if row.state != expected or row.forced_state:
            return
        if permit.probe and row.probe != permit.holder:
            return
        changes = decide(row, succeeded=succeeded)
        if not changes or _swap(row, **changes):
            return


def release(permit: Permit) -> None:
    """Give back a permit that was not used; a probe becomes free for the next."""
    while permit.probe:
        row = _read()
        if row.state != State.HALF_OPEN or row.probe != permit.holder:
            return
        if _swap(row, probe="", probe_until=None):
            return


def force(*, state: str, reason: str, minutes: int, by: str, user_id: int | None) -> datetime:
    """Keep the breaker `state` (open or closed) for `minutes`; return until when.

    `by` is the username of who does so, and `user_id` goes into the log in its place. A probe under
    way loses its word. An earlier force is replaced. Raises ValueError for a state that cannot be
    forced, an empty or too long reason, and too short or long a time.
    """
    least, most = FORCE_MINUTES
    if state not in CircuitBreaker.FORCIBLE or not least <= minutes <= most:
        raise ValueError(f"forced open or closed, for {least} to {most} minutes")
    if not by or not 0 < len(reason) <= REASON_LENGTH:
        raise ValueError(f"somebody's reason of 1 to {REASON_LENGTH} characters")
    to = State(state)
    while True:
        row, now = _read(), timezone.now()
        until = now + timedelta(minutes=minutes)
        if _swap(
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
            _note(metrics.record_forced, NAME, str(to), reason, until, user_id)
            return until


def unforce(*, user_id: int | None) -> bool:
    """Hand the breaker back to automatic: half-open if it was forced open, else closed.

    Say whether it was forced.
    """
    while True:
        row = _read()
        if not row.forced_state:
            return False
        if _end_force(row, user_id=user_id):
            return True


def _end_force(row: CircuitBreaker, *, user_id: int | None) -> bool:
    """Make it automatic again unless somebody wrote since; `user_id` is None when time did it."""
    to = row.state_after_force
    ended = _swap(
        row,
        state=to,
        failures=0,
        forced_state="",
        forced_reason="",
        forced_until=None,
        forced_by="",
    )
    if ended:
        _note(metrics.record_unforced, NAME, str(to), user_id)
    return ended
