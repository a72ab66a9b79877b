"""The shop's promises, looked over row by row: how they are declared, audited and told.

    @invariant("confirmed_sale_is_paid_once", again=paid_once_again)
    def paid_once(checkpoint: Checkpoint) -> Iterator[Part]: ...

A look begins where an earlier one got to and yields what it finds in parts, each by bounded
statements and with the checkpoint from which the next look may begin. The empty checkpoint is the
very beginning, so a full audit is the same look from there. A checkpoint stays right for ever, it
only grows slow: it never lies beyond a row that may still change or appear (`settled_before`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.db.models import Count, F, Sum
from django.utils import timezone

from retail.database import bounded_read
from retail.models import AuditCheck, AuditViolation
from retail.observability import catalogue

if TYPE_CHECKING:
    from retail.observability.instruments import Truth

STALE_AFTER = timedelta(minutes=10)
FULL_EVERY = timedelta(days=1)
PATIENCE_SECONDS = 2.0  # for one look of the job: then others have their turn, and it goes on later
MOST_OPEN = 10_000  # more violations of one invariant than anybody reads: it looks no further
AT_ONCE = 500  # open violations looked at again in one statement
NAMED = 100  # subjects in one line of the log
DETAIL = 200  # characters kept of how a promise is broken
OVERSOLD = "sold_within_offered"  # its amounts are a gauge of their own

logger = logging.getLogger("retail.audit")

Checkpoint = dict[str, Any]
"""Where a look has got to: anything that JSON can hold."""


class NotCheckedError(Exception):
    """What an invariant is checked against did not answer; this says nothing about the promise."""


class Violation(NamedTuple):
    """A broken promise: whose, how, and by how much (in units, where units can be counted)."""

    subject: str
    detail: str
    amount: int = 1


class Part(NamedTuple):
    """What a bounded part of a look saw, and where a later look may begin."""

    checked: int
    violations: Sequence[Violation]
    checkpoint: Checkpoint


Look = Callable[[Checkpoint], Iterator[Part]]
Again = Callable[[list[str]], Iterable[Violation]]


@dataclass(frozen=True)
class Invariant:
    """A promise. `again` tells which of some subjects break it; without it every look sees all."""

    name: str
    look: Look
    again: Again | None


@dataclass(frozen=True)
class Report:
    """How an audit went: rows looked at, whose violations are open, or why it was not checked."""

    invariant: str
    checked: int = 0
    subjects: tuple[str, ...] = ()
    seconds: float = 0
    problem: str = ""


@dataclass
class _Found:
    """What a look brought, and whether it reached the end."""

    checkpoint: Checkpoint
    violations: dict[str, Violation]
    checked: int = 0
    ended: bool = False


declared: dict[str, Invariant] = {}
_open = AuditViolation.objects.filter(resolved_at__isnull=True)


def invariant(name: str, *, again: Again | None = None) -> Callable[[Look], Look]:
    """Declare a promise of the catalogue and how to look it over. Raises ValueError for others."""
    if name not in catalogue.INVARIANTS:
        raise ValueError(f"{name} is not in the catalogue's INVARIANTS")

    def declare(look: Look) -> Look:
        declared[name] = Invariant(name, look, again)
        return look

    return declare


def audit(names: Iterable[str] = (), *, full: bool = False) -> list[Report]:
    """Look over the named invariants, or all: what is new, or with `full` every row there is.

    None stops another; what could not be checked says so in its report.
    """
    return _one_by_one(names, lambda one: _look_over(one, full=full))


def audit_a_while() -> list[Report]:
    """Audit what is new, and go on with the full look that is due once a day, a while at each."""

    def both(one: Invariant) -> Report:
        report = _look_over(one, seconds=PATIENCE_SECONDS)
        full_checked_at = AuditCheck.objects.get(pk=one.name).full_checked_at
        if full_checked_at is None or full_checked_at <= timezone.now() - FULL_EVERY:
            return _look_over(one, full=True, seconds=PATIENCE_SECONDS)
        return report

    return _one_by_one((), both)


def _one_by_one(names: Iterable[str], do: Callable[[Invariant], Report]) -> list[Report]:
    reports = []
    unanswered: dict[str, str] = {}
    for name in names or sorted(declared):
        try:
            report = do(declared[name])
        except NotCheckedError as error:
            unanswered[name] = str(error)
            report = Report(name, problem=str(error))
        except Exception as error:
            catalogue.TELEMETRY_ERRORS.inc(sink="audit")
            logger.exception("event=audit.failed", extra={"invariant": name})
            report = Report(name, problem=f"failed: {type(error).__name__}")
        reports.append(report)
    if unanswered:
        facts = {"invariants": [*unanswered], "reason": next(iter(unanswered.values()))}
        logger.warning("event=audit.not_checked", extra=facts)
    return reports


def _look_over(one: Invariant, *, full: bool = False, seconds: float | None = None) -> Report:
    """Audit one invariant and store the result; with `seconds`, what they suffice for."""
    started = monotonic()
    check = AuditCheck.objects.get_or_create(invariant=one.name)[0]
    # Read before the look: what another audit finds meanwhile is not this one's to call resolved.
    known = {row.subject: row for row in _open.filter(invariant=one.name)}
    begin = check.checkpoint
    if full:
        begin = (check.full_checkpoint or {}) if seconds else {}
    found = _look(one, begin, known, until=started + seconds if seconds else None)
    gone = sorted(set(known) - set(found.violations))
    if one.again is not None:
        for first in range(0, len(gone), AT_ONCE):
            still = one.again(gone[first : first + AT_ONCE])
            found.violations.update({violation.subject: violation for violation in still})
    elif not found.ended:
        for key in gone:
            found.violations[key] = Violation(key, known[key].detail, known[key].amount)
    _store(check, found, known, full=full)
    subjects = tuple(sorted(found.violations))
    return Report(one.name, found.checked, subjects, monotonic() - started)


def _look(one: Invariant, begin: Checkpoint, known: Iterable[str], until: float | None) -> _Found:
    found = _Found(begin, {})
    for part in one.look(begin):
        found.checked += part.checked
        found.violations.update({violation.subject: violation for violation in part.violations})
        found.checkpoint = part.checkpoint
        if len({*known, *found.violations}) >= MOST_OPEN:
            break
        # Only where the next look would begin further on: else none would ever reach the end.
        if until and monotonic() >= until and part.checkpoint != begin:
            break
    else:
        found.ended = True
    return found


@transaction.atomic
def _store(
    check: AuditCheck, found: _Found, known: dict[str, AuditViolation], *, full: bool
) -> None:
    """Store what a look found, unless another audit was faster: then that one's result stands."""
    now = timezone.now()
    facts: dict[str, Any] = {"version": F("version") + 1, "violations": len(found.violations)}
    if found.ended or not full:
        facts["checkpoint"] = found.checkpoint
    if full:
        facts["full_checkpoint"] = None if found.ended else found.checkpoint
    if found.ended or len(found.violations) >= MOST_OPEN:
        facts |= {"checked_at": now, "checked": found.checked}
    if full and found.ended:
        facts["full_checked_at"] = now
    if not AuditCheck.objects.filter(pk=check.pk, version=check.version).update(**facts):
        return
    of_this = _open.filter(invariant=check.pk)
    of_this.filter(subject__in=set(known) - set(found.violations)).update(resolved_at=now)
    new = []
    for subject, violation in sorted(found.violations.items()):
        row = AuditViolation(invariant=check.pk, found_at=now, **violation._asdict())
        row.detail = row.detail[:DETAIL]  # it may quote what others say
        if subject not in known:
            new.append(row)
        elif (known[subject].detail, known[subject].amount) != (row.detail, row.amount):
            of_this.filter(subject=subject).update(detail=row.detail, amount=row.amount)
    AuditViolation.objects.bulk_create(new)
    if new:
        facts = {"count": len(new), "subjects": [row.subject for row in new[:NAMED]]}
        logger.error("event=audit.violated", extra={"invariant": check.pk, **facts})


def read_audit() -> dict[Truth, dict[tuple[str, ...], float]]:
    """Return the open violations by invariant, and units oversold, as the audit stored them.

    An invariant that was not checked for STALE_AFTER is left out: nobody knows about it.
    """
    with bounded_read():
        fresh = AuditCheck.objects.filter(checked_at__gt=timezone.now() - STALE_AFTER)
        checked = set(fresh.values_list("invariant", flat=True)) & set(catalogue.INVARIANTS)
        rows = _open.values("invariant").order_by()
        told = {
            row["invariant"]: row
            for row in rows.annotate(violations=Count("pk"), amounts=Sum("amount"))
        }
    none = {"violations": 0, "amounts": 0}
    violations: dict[tuple[str, ...], float] = {
        (name,): told.get(name, none)["violations"] for name in sorted(checked)
    }
    oversold: dict[tuple[str, ...], float] = {}
    if OVERSOLD in checked:
        oversold[()] = told.get(OVERSOLD, none)["amounts"]
    return {catalogue.OVERSOLD_UNITS: oversold, catalogue.INVARIANT_VIOLATIONS: violations}
