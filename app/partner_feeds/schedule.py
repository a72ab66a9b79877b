"""When partners' files are fetched, and what becomes of a fetch."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from django.db import transaction

from partner_feeds import files, intake, transitions
from partner_feeds.addresses import shown_address
from partner_feeds.events import logger
from partner_feeds.fetching import fetch
from partner_feeds.models import Ingestion, Partner
from partner_feeds.reading.problems import FeedError
from partner_feeds.transitions import IngestionRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_FETCH = Ingestion.Origin.FETCH


def claim_due(now: datetime, enqueue: Callable[[int], object]) -> list[int]:
    """Enqueue a fetch for each partner that is due, and set the next time; return their ids.

    Each is claimed once, however many workers do so at the same time.
    """
    scheduled = Partner.objects.filter(is_active=True, fetch_every_minutes__gt=0)
    claimed = []
    for partner in scheduled.exclude(address=""):
        if not partner.is_due(now):
            continue
        same = Partner.objects.filter(pk=partner.pk, next_fetch_at=partner.next_fetch_at)
        with transaction.atomic():
            if same.update(next_fetch_at=partner.fetch_after(now)):
                enqueue(partner.pk)
                claimed.append(partner.pk)
    return claimed


def fetch_file(partner: Partner, *, user_id: int | None = None) -> Ingestion | None:
    """Fetch a partner's file and store it for the worker; return its ingestion.

    A file that could not be fetched is one that failed. While another one is being taken in, it is
    not fetched: the next time comes.
    """
    fields = {"partner": partner.slug, "source": shown_address(partner.address)}
    if transitions.is_busy(partner):
        logger.info("event=feed.fetch_skipped", extra=fields)
        return None
    began = monotonic()
    with files.temporary() as file:
        try:
            fetched = fetch(partner, file)
        except FeedError as error:
            logger.warning("event=feed.not_fetched", extra={**fields, "code": error.code})
            return intake.refuse(
                partner, origin=_FETCH, code=error.code, problem=str(error), started_by_id=user_id
            )
        seconds = round(monotonic() - began, 1)
        logger.info(
            "event=feed.fetched", extra={**fields, "pages": fetched.pages, "seconds": seconds}
        )
        try:
            return intake.receive(
                partner, file, origin=_FETCH, started_by_id=user_id, dated_at=fetched.dated_at
            )
        except IngestionRefusedError:
            logger.info("event=feed.fetch_skipped", extra=fields)
            return None
