"""Jobs of the partner feeds. A file is taken in by as many short runs as it needs."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

from django.utils import timezone

from partner_feeds import applying, files, intake, schedule, services
from partner_feeds.models import Ingestion, Partner
from retail.jobs import job

# A job is stopped after 170 s. Reading stops at the next batch, and ends with statements over the
# whole stage.
SECONDS = 45
# Nobody works on a file whose last sign of life is older.
LEFT_AFTER = timedelta(minutes=1)
# How long a request to fetch a file counts that no worker has begun with.
FETCH_WAITS = timedelta(minutes=1)
_Status = Ingestion.Status


@job()
def continue_feed(ingestion_id: int) -> None:
    """Go on with a file: read it, then apply it, each from where it was left."""
    began = monotonic()
    ingestion = Ingestion.objects.select_related("partner").get(pk=ingestion_id)
    done = intake.read_stored(ingestion, seconds=SECONDS)
    if done and ingestion.status == _Status.APPLYING:
        done = applying.apply_all(ingestion, seconds=SECONDS - (monotonic() - began))
    if not done:
        continue_feed.enqueue(ingestion_id)


@job(every_minutes=1, success_within_minutes=15)
def resume_feeds() -> int:
    """Go on with files that were left before their end, by a worker that died; return how many."""
    left = Ingestion.objects.filter(alive_at__lt=timezone.now() - LEFT_AFTER)
    keys = [
        *left.filter(status=_Status.READING, is_stored=True).values_list("pk", flat=True),
        *left.filter(status=_Status.APPLYING).values_list("pk", flat=True),
    ]
    for key in keys:
        continue_feed.enqueue(key)
    return len(keys)


@job(every_minutes=1, success_within_minutes=15)
def fetch_feeds() -> int:
    """Fetch the files whose time has come, each in a job of its own; return how many."""
    due = schedule.claim_due(timezone.now(), fetch_feed.enqueue)
    return len(due)


@job()
def fetch_feed(partner_id: int, user_id: int | None = None) -> None:
    """Fetch a partner's file, and let it be taken in."""
    Partner.objects.filter(pk=partner_id).update(fetch_requested_at=None)
    partner = Partner.objects.filter(pk=partner_id, is_active=True).exclude(address="").first()
    ingestion = partner and schedule.fetch_file(partner, user_id=user_id)
    if ingestion and ingestion.status == _Status.READING:
        continue_feed.enqueue(ingestion.pk)


def fetch_now(partner: Partner, *, user_id: int | None) -> None:
    """Let the worker fetch a partner's file at once.

    Raises IngestionRefusedError for a partner that has no address or is not active, and while
    another request waits for the worker, for up to FETCH_WAITS.
    """
    if not partner.address or not partner.is_active:
        why = "is not active" if partner.address else "has no address to fetch a file from"
        raise services.IngestionRefusedError(f"{partner} {why}.")
    now = timezone.now()
    free = Partner.objects.filter(pk=partner.pk).exclude(
        fetch_requested_at__gt=now - FETCH_WAITS, fetch_requested_at__lt=now + FETCH_WAITS
    )
    if not free.update(fetch_requested_at=now):
        raise services.IngestionRefusedError(f"The file of {partner} is about to be fetched.")
    fetch_feed.enqueue(partner.pk, user_id)


@job(every_minutes=5, success_within_minutes=60)
def void_dead_feeds() -> int:
    """Let files fail whose reader has died, and delete what was left of others; return how many."""
    files.delete_left()
    return services.void_dead()


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def forget_feed_changes() -> int:
    """Forget what can no longer be taken back; return how many changes."""
    return services.forget_changes()
