"""Apply a held file anyway, take a file back, and tidy up after dead readers."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from partner_feeds.events import log_fields, logger
from partner_feeds.models import AppliedChange, Ingestion
from partner_feeds.push_keys import push_key_create, push_key_revoke
from partner_feeds.transitions import IngestionRefusedError, begun, discard, failed, moved

__all__ = [
    "IngestionRefusedError",
    "apply_anyway",
    "discard",
    "forget_changes",
    "no_take_back",
    "push_key_create",
    "push_key_revoke",
    "take_back",
    "void_dead",
]

_Status = Ingestion.Status
# A reader gives a sign of life with each batch of rows.
READER_DEAD_AFTER = timedelta(minutes=5)
TAKE_BACK_WITHIN = timedelta(days=14)


def apply_anyway(ingestion: Ingestion, *, user_id: int | None, reason: str) -> None:
    """Let a held file be applied. Raises IngestionRefusedError if it is not held."""
    if not reason.strip():
        raise IngestionRefusedError("Say why the file is to be applied anyway.")
    decided = {"applied_by_id": user_id, "reason": reason[:300]}
    if not moved(ingestion, _Status.APPLYING, only_from=_Status.HELD, **decided):
        raise IngestionRefusedError(f"{ingestion} is not held.")
    logger.info("event=feed.applied_anyway", extra=log_fields(ingestion))


def no_take_back(ingestion: Ingestion) -> str:
    """Return why a file cannot be taken back; "" if it can."""
    if ingestion.status != _Status.DONE or ingestion.takes_back_id:
        return f"{ingestion} is not a file that was applied."
    if Ingestion.objects.filter(takes_back=ingestion).exists():
        return f"{ingestion} was taken back before."
    if not ingestion.changes.exists():
        return f"{ingestion} changed nothing, or more than {TAKE_BACK_WITHIN.days} days ago."
    return ""


def take_back(ingestion: Ingestion, *, user_id: int | None) -> Ingestion:
    """Begin to undo what a file changed, as a new ingestion that is to be applied.

    Raises IngestionRefusedError for what changed nothing, was taken back before, or is too old.
    """
    if refusal := no_take_back(ingestion):
        raise IngestionRefusedError(refusal)
    why = f"{ingestion} was taken back."
    back = begun(
        ingestion.partner,
        why,
        origin=Ingestion.Origin.TAKE_BACK,
        takes_back=ingestion,
        started_by_id=user_id,
        to_apply=ingestion.changes.count(),
    )
    moved(back, _Status.APPLYING)
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
        status=_Status.READING, is_stored=False, alive_at__lt=timezone.now() - READER_DEAD_AFTER
    )
    count = 0
    for ingestion in dead:
        failed(ingestion, "interrupted", "Reading was interrupted.")
        count += 1
    return count
