"""Take a partner's file in: read it here, or store it for the worker."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, BinaryIO

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from partner_feeds import files, gate
from partner_feeds.events import log_fields, logger
from partner_feeds.models import Ingestion
from partner_feeds.reading.problems import FeedError
from partner_feeds.staging import ReadingLostError, stage
from partner_feeds.transitions import (
    IngestionRefusedError,
    begun,
    created,
    failed,
    give_way,
    moved,
    read_to_its_end,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.db.models import QuerySet

    from partner_feeds.models import Partner

_Status = Ingestion.Status
_DATABASE_FAILS = (OperationalError, InterfaceError)
NEWER = "A newer file arrived."


def _hashed(file: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(1024 * 1024):
        digest.update(chunk)
        size += len(chunk)
    file.seek(0)
    return digest.hexdigest(), size


def _ended(partner: Partner, status: Ingestion.Status, **values: Any) -> Ingestion:
    """Record a file of which nothing is read."""
    now = timezone.now()
    ingestion = created(partner, status=status, created_at=now, finished_at=now, **values)
    logger.info("event=feed.read", extra=log_fields(ingestion))
    return ingestion


def _arrived(partner: Partner, file: BinaryIO, **values: Any) -> Ingestion:
    """Return the ingestion of a file: a new one, or the one that holds this very file."""
    if not partner.is_active:
        raise IngestionRefusedError(f"{partner} is not active, so its feeds are not taken in.")
    file_hash, size = _hashed(file)
    same = {"file_hash": file_hash, "read_as": partner.read_as()}
    held = Ingestion.objects.filter(partner=partner, status=_Status.HELD, **same).first()
    if held is not None:
        return held
    values |= {**same, "file_bytes": size}
    if _same_as_last(partner, **same):
        give_way(partner, NEWER)
        return _ended(partner, _Status.UNCHANGED, **values)
    ingestion = begun(partner, NEWER, **values)
    logger.info("event=feed.started", extra=log_fields(ingestion))
    return ingestion


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
    ingestion = _arrived(partner, file, started_by_id=started_by_id)
    if ingestion.status == _Status.READING:
        _read(ingestion, file, report)
    return ingestion


def receive(
    partner: Partner,
    file: BinaryIO,
    *,
    origin: Ingestion.Origin,
    started_by_id: int | None = None,
    dated_at: datetime | None = None,
) -> Ingestion:
    """Store a file for the worker, which reads and applies it (`tasks.continue_feed`).

    What was returned survives a crash. `file` must be seekable. Raises IngestionRefusedError if
    another file is being taken in or the partner is not active.
    """
    ingestion = _arrived(
        partner, file, origin=origin, started_by_id=started_by_id, file_dated_at=dated_at
    )
    if ingestion.status == _Status.READING:
        files.store(ingestion, file)
    return ingestion


def refuse(
    partner: Partner,
    *,
    origin: Ingestion.Origin,
    code: str,
    problem: str,
    started_by_id: int | None = None,
) -> Ingestion:
    """Record a file that did not arrive, such as one that could not be fetched."""
    return _ended(
        partner,
        _Status.FAILED,
        origin=origin,
        code=code,
        problem=problem[:300],
        started_by_id=started_by_id,
    )


def read_stored(ingestion: Ingestion, *, seconds: float) -> bool:
    """Read a stored file, from where it was left; return whether there is no more to read."""
    if ingestion.status != _Status.READING or not ingestion.is_stored:
        return True
    return _read(ingestion, files.stored(ingestion), seconds=seconds)


def _same_as_last(partner: Partner, file_hash: str, read_as: str) -> bool:
    """Whether this very file was the last to be applied, by the same settings."""
    last = _applied(partner).last()
    return last is not None and (last.file_hash, last.read_as) == (file_hash, read_as)


def _rows_before(partner: Partner) -> int:
    """Return how many good rows the last file had that was applied and not taken back."""
    last = _applied(partner).filter(takes_back=None, taken_back_by=None).last()
    return last.rows - last.rejected if last else 0


def _applied(partner: Partner) -> QuerySet[Ingestion]:
    done = Ingestion.objects.filter(partner=partner, status=_Status.DONE)
    return done.order_by("created_at", "pk")


def _read(
    ingestion: Ingestion,
    file: BinaryIO,
    report: Callable[[int], object] = lambda _rows: None,
    *,
    seconds: float = float("inf"),
) -> bool:
    """Read on, and judge the file if it was read to its end; return whether it was."""
    try:
        if not stage(ingestion, file, report, seconds=seconds):
            return False
    except FeedError as error:
        failed(ingestion, error.code, str(error))
    except ReadingLostError:
        ingestion.refresh_from_db()
        return True
    except BaseException as error:
        # Any worker can go on with a stored file, unless it would fail in the same way again.
        passes = not isinstance(error, Exception) or isinstance(error, _DATABASE_FAILS)
        if not (ingestion.is_stored and passes):
            failed(ingestion, "interrupted", "Reading was interrupted.")
        raise
    else:
        _judged(ingestion)
    logger.info("event=feed.read", extra=log_fields(ingestion))
    return True


@transaction.atomic
def _judged(ingestion: Ingestion) -> None:
    """Hold a file that was read to its end, or let it be applied."""
    ingestion.refresh_from_db()
    effect, rows_before = gate.effect_of(ingestion), _rows_before(ingestion.partner)
    found = gate.findings(ingestion, effect, rows_before)
    moved(
        ingestion,
        _Status.HELD if found else _Status.APPLYING,
        held_for=found,
        to_apply=effect.staged,
        **read_to_its_end(ingestion),
    )
