"""Invariant audits: incremental scan from a checkpoint, storage of violations."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from retail.audit.declare import MOST_OPEN, NotCheckedError, Violation, declared
from retail.models import AuditCheck, AuditViolation
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from retail.audit.declare import Checkpoint, Invariant

SCAN_SECONDS = 4.0  # for one scan; the next run continues it
RECHECK_BATCH = 500  # open violations re-read in one statement
NAMED = 100  # subjects in one log line
DETAIL = 200  # characters of a violation's description that are stored

logger = logging.getLogger("retail.audit")


@dataclass(frozen=True)
class Report:
    """Result of one audit: rows checked and subjects with open violations, or the problem."""

    invariant: str
    checked: int = 0
    subjects: tuple[str, ...] = ()
    seconds: float = 0
    problem: str = ""


@dataclass
class _Scanned:
    """Result of a scan, and whether it reached the end."""

    checkpoint: Checkpoint
    violations: dict[str, Violation]
    checked: int = 0
    ended: bool = False


_open = AuditViolation.objects.filter(resolved_at__isnull=True)


def audit(names: Iterable[str] = (), *, full: bool = False) -> list[Report]:
    """Audit the named invariants, or all of them; every row of all if `full`.

    Otherwise audits new rows, and continues the full scan of each invariant if it is due, for
    SCAN_SECONDS. A failure of one does not stop the others; its report states the problem.
    """
    return _each(names, partial(_scan_and_store, full=True) if full else _scan_some)


def _scan_some(invariant: Invariant) -> Report:
    """Audit new rows, then a slice of all rows if a full scan is due."""
    if invariant.full_every is None:
        return _scan_and_store(invariant, full=True)
    report = _scan_and_store(invariant, seconds=SCAN_SECONDS)
    full_checked_at = AuditCheck.objects.get(pk=invariant.name).full_checked_at
    if full_checked_at is None or full_checked_at <= timezone.now() - invariant.full_every:
        part = _scan_and_store(invariant, full=True, seconds=SCAN_SECONDS)
        return replace(part, seconds=report.seconds + part.seconds)
    return report


def _each(names: Iterable[str], run: Callable[[Invariant], Report]) -> list[Report]:
    reports = []
    not_checked: dict[str, str] = {}
    for name in names or sorted(declared):
        try:
            report = run(declared[name])
        except NotCheckedError as error:
            not_checked[name] = str(error)
            report = Report(name, problem=str(error))
        except Exception as error:
            catalogue.TELEMETRY_ERRORS.inc(sink="audit")
            logger.exception("event=audit.failed", extra={"invariant": name})
            report = Report(name, problem=f"failed: {type(error).__name__}")
        reports.append(report)
    if not_checked:
        fields = {"invariants": [*not_checked], "reason": next(iter(not_checked.values()))}
        logger.warning("event=audit.not_checked", extra=fields)
    return reports


def _scan_and_store(
    invariant: Invariant, *, full: bool = False, seconds: float | None = None
) -> Report:
    """Audit one invariant and store the result; stop after `seconds`, if given."""
    started = monotonic()
    check = AuditCheck.objects.get_or_create(invariant=invariant.name)[0]
    # Read before the scan, so as not to resolve what a concurrent audit finds during the scan.
    known = {row.subject: row for row in _open.filter(invariant=invariant.name)}
    begin = check.checkpoint
    if full:
        begin = (check.full_checkpoint or {}) if seconds else {}
    scanned = _scan(invariant, begin, known, until=started + seconds if seconds else None)
    _keep_unresolved(invariant, scanned, known)
    _store(check, scanned, known, full=full)
    subjects = tuple(sorted(scanned.violations))
    return Report(invariant.name, scanned.checked, subjects, monotonic() - started)


def _scan(
    invariant: Invariant, begin: Checkpoint, known: Iterable[str], until: float | None
) -> _Scanned:
    scanned = _Scanned(begin, {})
    for part in invariant.scan(begin):
        scanned.checked += part.checked
        scanned.violations.update({violation.subject: violation for violation in part.violations})
        scanned.checkpoint = part.checkpoint
        if len({*known, *scanned.violations}) >= MOST_OPEN:
            break
        # Stop only after progress; otherwise no scan would ever reach the end.
        if until and monotonic() >= until and part.checkpoint != begin and not part.end:
            break
    else:
        scanned.ended = True
    return scanned


def _keep_unresolved(
    invariant: Invariant, scanned: _Scanned, known: dict[str, AuditViolation]
) -> None:
    """Add the known violations that the scan did not reach and that still hold."""
    missing = sorted(set(known) - set(scanned.violations))
    if invariant.recheck is not None:
        for first in range(0, len(missing), RECHECK_BATCH):
            still = invariant.recheck(missing[first : first + RECHECK_BATCH])
            scanned.violations.update({violation.subject: violation for violation in still})
    elif not scanned.ended:
        for key in missing:
            scanned.violations[key] = Violation(key, known[key].detail, known[key].amount)


@transaction.atomic
def _store(
    check: AuditCheck, scanned: _Scanned, known: dict[str, AuditViolation], *, full: bool
) -> None:
    """Store the result, unless another audit stored one since `check` was read."""
    now = timezone.now()
    fields: dict[str, Any] = {"version": F("version") + 1, "violations": len(scanned.violations)}
    if scanned.ended or not full:
        fields["checkpoint"] = scanned.checkpoint
    if full:
        fields["full_checkpoint"] = None if scanned.ended else scanned.checkpoint
    if scanned.ended or len(scanned.violations) >= MOST_OPEN:
        fields |= {"checked_at": now, "checked": scanned.checked}
    if full and scanned.ended:
        fields["full_checked_at"] = now
    if not AuditCheck.objects.filter(pk=check.pk, version=check.version).update(**fields):
        return
    of_invariant = _open.filter(invariant=check.pk)
    resolved = set(known) - set(scanned.violations)
    of_invariant.filter(subject__in=resolved).update(resolved_at=now)
    new = []
    for subject, violation in sorted(scanned.violations.items()):
        row = AuditViolation(invariant=check.pk, found_at=now, **violation._asdict())
        row.detail = row.detail[:DETAIL]  # may quote a long gateway response
        if subject not in known:
            new.append(row)
        elif (known[subject].detail, known[subject].amount) != (row.detail, row.amount):
            of_invariant.filter(subject=subject).update(detail=row.detail, amount=row.amount)
    AuditViolation.objects.bulk_create(new)
    if new:
        fields = {"count": len(new), "subjects": [row.subject for row in new[:NAMED]]}
        logger.error("event=audit.violated", extra={"invariant": check.pk, **fields})
