"""How an ingestion begins and changes its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils import timezone

from partner_feeds import files
from partner_feeds.events import log_fields, logger
from partner_feeds.metrics import record_ended
from partner_feeds.models import INGESTION_TRANSITIONS, Ingestion, StagedRow
from retail.observability.context import current_request_id

if TYPE_CHECKING:
    from partner_feeds.models import Partner

_Status = Ingestion.Status


class IngestionRefusedError(Exception):
    """What was asked for is not possible now. Its text is for staff."""


def moved(
    ingestion: Ingestion,
    status: Ingestion.Status,
    *,
    only_from: Ingestion.Status | None = None,
    **values: Any,
) -> bool:
    """Change the status if it may be reached from the current one; return whether it was."""
    sources = [source for source, targets in INGESTION_TRANSITIONS.items() if status in targets]
    if only_from is not None:
        sources = [only_from]
    if not INGESTION_TRANSITIONS[status]:
        values["finished_at"] = timezone.now()
    rows = Ingestion.objects.filter(pk=ingestion.pk, status__in=sources)
    changed = bool(rows.update(status=status, **values))
    ingestion.refresh_from_db()
    if changed:
        record_ended(ingestion)
    return changed


def begun(partner: Partner, why: str, **values: Any) -> Ingestion:
    """Create an ingestion; one that is held gives way, one that is running does not."""
    give_way(partner, why)
    try:
        with transaction.atomic():
            return created(partner, **values)
    except IntegrityError as error:
        raise _busy(partner) from error


def give_way(partner: Partner, why: str) -> None:
    """Discard a file that is held. Raises IngestionRefusedError if one is being taken in."""
    if is_busy(partner):
        raise _busy(partner)
    for held in Ingestion.objects.filter(partner=partner, status=_Status.HELD):
        discard(held, reason=why)


def is_busy(partner: Partner) -> bool:
    """Return whether a file of the partner is being taken in, so that another one is refused."""
    running = (_Status.READING, _Status.APPLYING)
    return Ingestion.objects.filter(partner=partner, status__in=running).exists()


def _busy(partner: Partner) -> IngestionRefusedError:
    return IngestionRefusedError(f"A file of {partner} is being taken in already.")


def created(partner: Partner, **values: Any) -> Ingestion:
    """Create an ingestion for the current request."""
    return Ingestion.objects.create(
        partner=partner, request_id=current_request_id() or "", **values
    )


def read_to_its_end(ingestion: Ingestion) -> dict[str, Any]:
    """Delete the file, and return what is recorded of its reading."""
    files.forget(ingestion)
    codes = ingestion.rejects.order_by().values_list("code").annotate(Count("pk"))
    return {"rejected_by_code": dict(codes), "is_stored": False, "read_at": timezone.now()}


@transaction.atomic
def failed(ingestion: Ingestion, code: str, problem: str) -> None:
    """Refuse the whole file: nothing of it is applied."""
    values = {"code": code, "problem": problem[:300], **read_to_its_end(ingestion)}
    if moved(ingestion, _Status.FAILED, **values):
        StagedRow.objects.filter(ingestion=ingestion).delete()


@transaction.atomic
def discard(ingestion: Ingestion, *, reason: str) -> None:
    """Discard a held file. Raises IngestionRefusedError if it is not held."""
    if not moved(ingestion, _Status.DISCARDED, reason=reason[:300]):
        raise IngestionRefusedError(f"{ingestion} is not held.")
    StagedRow.objects.filter(ingestion=ingestion).delete()
    logger.info("event=feed.discarded", extra=log_fields(ingestion))
