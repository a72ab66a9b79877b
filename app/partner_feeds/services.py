"""Take a partner's file in, apply it anyway, discard it, or take it back."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import IntegrityError, transaction
from django.utils import timezone

from partner_feeds import gate
from partner_feeds.events import log_fields, logger
from partner_feeds.models import (
    INGESTION_TRANSITIONS,
    AppliedChange,
    Ingestion,
    StagedRow,
)
from partner_feeds.reading.problems import FeedError
from partner_feeds.staging import stage
from retail.observability.context import current_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

    from partner_feeds.models import Partner

_Status = Ingestion.Status
# A reader gives a sign of life with each batch of rows.
READER_DEAD_AFTER = timedelta(minutes=5)
TAKE_BACK_WITHIN = timedelta(days=14)


class IngestionRefusedError(Exception):
    """What was asked for is not possible now. Its text is for staff."""


def _hashed(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(1024 * 1024):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    return digest.hexdigest(), size


def _moved(ingestion: Ingestion, status: Ingestion.Status, **values: Any) -> bool:
    """Change the status if it may be reached from the current one; return whether it was."""
    sources = [source for source, targets in INGESTION_TRANSITIONS.items() if status in targets]
    if not INGESTION_TRANSITIONS[status]:
        values["finished_at"] = timezone.now()
    rows = Ingestion.objects.filter(pk=ingestion.pk, status__in=sources)
    moved = bool(rows.update(status=status, **values))
    ingestion.refresh_from_db()
    return moved


def _begun(partner: Partner, why: str, **values: Any) -> Ingestion:
    """Create an ingestion; one that is held gives way, one that is running does not."""
    for held in Ingestion.objects.filter(partner=partner, status=_Status.HELD):
        discard(held, reason=why)
    try:
        with transaction.atomic():
            return Ingestion.objects.create(
                partner=partner, request_id=current_request_id() or "", **values
            )
    except IntegrityError as error:
        raise IngestionRefusedError(f"A file of {partner} is being taken in already.") from error


def ingest(
    partner: Partner,
    file: BinaryIO,
    *,
    started_by_id: int | None = None,
    report: Callable[[int], object] = lambda _rows: None,
) -> Ingestion:
    """Read a file, and hold it or leave it to be applied (`applying.apply_all`).

    `file` must be seekable. Raises IngestionRefusedError if another file is being taken in or the
    partner is not active.
    """
    if not partner.is_active:
        raise IngestionRefusedError(f"{partner} is not active, so its feeds are not taken in.")
    file_hash, size = _hashed(file)
    ingestion = _begun(
        partner,
        "A newer file arrived.",
        file_hash=file_hash,
        read_as=partner.read_as(),
        file_bytes=size,
        started_by_id=started_by_id,
    )
    logger.info("event=feed.started", extra=log_fields(ingestion))
    if _same_as_last(partner, file_hash):
        _moved(ingestion, _Status.UNCHANGED)
    else:
        _read(ingestion, file, report)
    logger.info("event=feed.read", extra=log_fields(ingestion))
    return ingestion


def _same_as_last(partner: Partner, file_hash: str) -> bool:
    """Whether this very file was the last to be applied, by the same settings."""
    last = _applied(partner).last()
    return last is not None and (last.file_hash, last.read_as) == (file_hash, partner.read_as())


def _rows_before(partner: Partner) -> int:
    """Return how many good rows the last file had that was applied and not taken back."""
    last = _applied(partner).filter(takes_back=None, taken_back_by=None).last()
    return last.rows - last.rejected if last else 0


def _applied(partner: Partner) -> QuerySet[Ingestion]:
    done = Ingestion.objects.filter(partner=partner, status=_Status.DONE)
    return done.order_by("created_at", "pk")


def _read(ingestion: Ingestion, file: BinaryIO, report: Callable[[int], object]) -> None:
    try:
        stage(ingestion, file, report)
    except FeedError as error:
        _failed(ingestion, error.code, str(error))
        return
    except BaseException:
        _failed(ingestion, "interrupted", "Reading was interrupted.")
        raise
    ingestion.refresh_from_db()
    effect, rows_before = gate.effect_of(ingestion), _rows_before(ingestion.partner)
    found = gate.findings(ingestion, effect, rows_before)
    _moved(ingestion, _Status.HELD if found else _Status.APPLYING, held_for=found)


@transaction.atomic
def _failed(ingestion: Ingestion, code: str, problem: str) -> None:
    if _moved(ingestion, _Status.FAILED, code=code, problem=problem[:300]):
        StagedRow.objects.filter(ingestion=ingestion).delete()


def apply_anyway(ingestion: Ingestion, *, user_id: int | None, reason: str) -> None:
    """Let a held file be applied. Raises IngestionRefusedError if it is not held."""
    if not reason.strip():
        raise IngestionRefusedError("Say why the file is to be applied anyway.")
    if not _moved(ingestion, _Status.APPLYING, applied_by_id=user_id, reason=reason[:300]):
        raise IngestionRefusedError(f"{ingestion} is not held.")
    logger.info("event=feed.applied_anyway", extra=log_fields(ingestion))


@transaction.atomic
def discard(ingestion: Ingestion, *, reason: str) -> None:
    """Discard a held file. Raises IngestionRefusedError if it is not held."""
    if not _moved(ingestion, _Status.DISCARDED, reason=reason[:300]):
        raise IngestionRefusedError(f"{ingestion} is not held.")
    StagedRow.objects.filter(ingestion=ingestion).delete()
    logger.info("event=feed.discarded", extra=log_fields(ingestion))


def take_back(ingestion: Ingestion, *, user_id: int | None) -> Ingestion:
    """Begin to undo what a file changed, as a new ingestion that is to be applied.

    Raises IngestionRefusedError for what changed nothing, was taken back before, or is too old.
    """
    if ingestion.status != _Status.DONE or ingestion.takes_back_id:
        raise IngestionRefusedError(f"{ingestion} is not a file that was applied.")
    if Ingestion.objects.filter(takes_back=ingestion).exists():
        raise IngestionRefusedError(f"{ingestion} was taken back before.")
    if not ingestion.changes.exists():
        raise IngestionRefusedError(
            f"{ingestion} changed nothing, or more than {TAKE_BACK_WITHIN.days} days ago."
        )
    why = f"{ingestion} was taken back."
    back = _begun(ingestion.partner, why, takes_back=ingestion, started_by_id=user_id)
    _moved(back, _Status.APPLYING)
    logger.info("event=feed.taken_back", extra=log_fields(back))
    return back


def forget_changes() -> int:
    """Forget what can no longer be taken back; return how many changes."""
    before = timezone.now() - TAKE_BACK_WITHIN
    old = AppliedChange.objects.filter(ingestion__finished_at__lt=before)
    return old.delete()[0]


def void_dead() -> int:
    """Let files fail whose reader gave no sign of life for long; return how many."""
    dead = Ingestion.objects.filter(
        status=_Status.READING, alive_at__lt=timezone.now() - READER_DEAD_AFTER
    )
    count = 0
    for ingestion in dead:
        _failed(ingestion, "interrupted", "Reading was interrupted.")
        count += 1
    return count
