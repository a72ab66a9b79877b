"""The worker's part of refunds: send what was requested, and learn what became of it.

A refund's key is committed as sent before the gateway is asked. What may have been sent is sent
again under the same key, but only while the gateway still knows its keys (GATEWAY_KEY_LIFE). After
that the gateway's list of refunds is searched for ours, and a person decides if it is not there:
the shop never pays twice because it has waited too long.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from orders.selectors import of_this_gateway
from payments.refunds import RefundRefusedError, RefundRequest, RefundStatus, refund_send
from payments.selectors import gateway_refunds_of
from payments.services import BreakerOpenError, NoAnswerError
from retail import jobs
from retail.claims import claim_due, work_off
from retail.db.batches import readable
from retail.observability.context import current_request_id, request_context
from returns import metrics
from returns.models import Refund
from returns.refunds import change_status, refund_adopt

if TYPE_CHECKING:
    from datetime import datetime

    from payments.selectors import GatewayRefund

Status = Refund.Status
AT_GATEWAY = (Status.REQUESTED, Status.UNKNOWN, Status.PENDING)
_ADOPTED = {
    RefundStatus.PENDING: Status.PENDING,
    RefundStatus.SUCCEEDED: Status.SUCCEEDED,
    RefundStatus.FAILED: Status.FAILED,
    RefundStatus.CANCELLED: Status.CANCELLED,
}

BATCH = 16
CONCURRENCY = 4  # threads, which mostly wait for the gateway
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
# An answer that a refund is refused or unknown proves nothing while an earlier request of it may
# still be on its way. After this time none is.
ON_ITS_WAY = timedelta(minutes=15)

logger = logging.getLogger("retail.returns")


def open_refunds() -> QuerySet[Refund]:
    """Return the refunds that the worker still has to settle."""
    return Refund.objects.filter(status__in=AT_GATEWAY)


def _due(now: datetime) -> QuerySet[Refund]:
    return open_refunds().filter(of_this_gateway("payment__"), due_at__lte=now)


def claim(now: datetime) -> list[Refund]:
    """Claim a batch of due refunds for the length of a lease; return those that can be read."""
    lease = timedelta(seconds=settings.PAYMENT_LEASE)
    claimed = claim_due(_due(now), BATCH, until=now + lease)
    rows = Refund.objects.select_related("payment__sale").filter(pk__in=claimed)
    return readable(rows.order_by("pk"))


def _may_send(refund: Refund, now: datetime) -> bool:
    """Whether sending the refund cannot pay it twice."""
    if refund.status not in {Status.REQUESTED, Status.UNKNOWN}:
        return False
    if refund.first_sent_at is None:
        return True
    age = now - refund.first_sent_at
    keyed = settings.GATEWAY_RETRY == "keyed"
    # A clock that was set back would make an old key young.
    return keyed and timedelta(0) <= age < timedelta(seconds=settings.GATEWAY_KEY_LIFE)


def _none_on_its_way(refund: Refund, now: datetime) -> bool:
    """Whether the refund was sent so long ago that no request of it can still arrive."""
    return refund.first_sent_at is not None and abs(now - refund.first_sent_at) >= ON_ITS_WAY


def _mark_sent(refund: Refund, now: datetime) -> bool:
    """Commit that the refund is about to be sent; return False if another worker has changed it."""
    mine = Refund.objects.filter(
        pk=refund.pk, status=refund.status, attempts=refund.attempts, due_at=refund.due_at
    )
    sent_at = refund.first_sent_at or now
    if not mine.update(attempts=F("attempts") + 1, first_sent_at=sent_at):
        return False
    refund.attempts += 1
    refund.first_sent_at = sent_at
    return True


def _mark_unsent(refund: Refund, before: datetime | None) -> None:
    """Store that the request marked as sent was not."""
    mine = Refund.objects.filter(pk=refund.pk, status=refund.status, attempts=refund.attempts)
    if mine.update(attempts=F("attempts") - 1, first_sent_at=before):
        refund.attempts -= 1
        refund.first_sent_at = before


def _send(refund: Refund, now: datetime) -> None:
    """Send the refund. Raises BreakerOpenError or NoAnswerError."""
    before = refund.first_sent_at
    if before is None and refund.payment.disputed_at is not None:
        refund_adopt(refund=refund, status=Status.FAILED, failure=Refund.Failure.DISPUTED)
        return
    if not _mark_sent(refund, now):
        return
    request = RefundRequest(
        key=refund.key,
        charge_key=refund.payment.key,
        amount=refund.amount,
        currency=refund.currency,
        reference=refund.reference,
    )
    try:
        row = refund_send(request=request, attempt=refund.attempts)
    except RefundRefusedError as error:
        if before is None:
            refund_adopt(refund=refund, status=Status.FAILED, failure=error.reason)
        elif not _look_up(refund):
            _not_there(refund, now)
    except (BreakerOpenError, NoAnswerError) as error:
        if not getattr(error, "maybe_sent", False):
            _mark_unsent(refund, before)
        raise
    else:
        _take(refund, row)


def _take(refund: Refund, row: GatewayRefund) -> None:
    """Adopt the state of a refund at the gateway. Raises NoAnswerError if it is not this one."""
    ours = (refund.reference, refund.payment.key, refund.amount)
    if (row.reference, row.charge_key, row.amount) != ours:
        raise NoAnswerError(f"the gateway's refund {row.refund_id} is not {refund.reference}")
    status = _ADOPTED[row.status]
    if status != refund.status:
        refund_adopt(refund=refund, status=status)


def _look_up(refund: Refund) -> bool:
    """Adopt the refund if it is in the gateway's list; return whether it is. Raises NoAnswerError.

    Two rows of one refund are for a person.
    """
    rows = gateway_refunds_of(charge_key=refund.payment.key)
    found = [row for row in rows if row.reference == refund.reference]
    if len(found) == 1:
        _take(refund, found[0])
    elif found:
        _need_human(refund)
    return bool(found)


def _not_there(refund: Refund, now: datetime) -> None:
    """Handle a refund that is not in the list and cannot be sent again."""
    if refund.status == Status.PENDING or _none_on_its_way(refund, now):
        _need_human(refund)
    else:
        change_status(refund, Status.UNKNOWN)


@transaction.atomic
def _need_human(refund: Refund) -> None:
    if refund.status == Status.REQUESTED:
        change_status(refund, Status.UNKNOWN)
    if change_status(refund, Status.NEEDS_HUMAN):
        transaction.on_commit(partial(metrics.record_refund_needs_human, refund))


def _advance(refund: Refund, now: datetime) -> None:
    """Send the refund, or look it up if it was sent long ago. Raises as `_send` does."""
    may_send = _may_send(refund, now)
    if (not may_send or _none_on_its_way(refund, now)) and _look_up(refund):
        return
    if may_send:
        _send(refund, now)
    else:
        _not_there(refund, now)


def _wait(refund: Refund, now: datetime) -> timedelta:
    """Return how long to wait before the gateway is asked again: longer for older refunds.

    The list of changes (returns/changes.py) is read all the time, and ends the wait.
    """
    since = refund.first_sent_at or refund.created_at
    return min(max(FIRST_WAIT, abs(now - since) / 10), LONGEST_WAIT)


def finish(refund: Refund) -> None:
    """Send or look up a refund; without an outcome, schedule the next attempt."""
    with request_context(refund.request_id or current_request_id()):
        now = timezone.now()
        try:
            _advance(refund, now)
            wait = _wait(refund, now)
        except BreakerOpenError as error:
            wait = timedelta(seconds=error.retry_after)
        except NoAnswerError:
            if refund.first_sent_at is not None:
                change_status(refund, Status.UNKNOWN)
            wait = _wait(refund, now)
        open_refunds().filter(pk=refund.pk).update(due_at=timezone.now() + wait)


def _finish_or_log(refund: Refund) -> None:
    try:
        if jobs.stopping.is_set():
            Refund.objects.filter(pk=refund.pk, due_at=refund.due_at).update(due_at=timezone.now())
        else:
            finish(refund)
    except Exception:
        # It is claimed again when its lease expires; the rest of the batch goes on.
        logger.exception("event=refund.finish_failed", extra={"refund_ref": refund.reference})


def _claim_due() -> list[Refund]:
    """Claim what is due. Most polls find nothing, and this needs no transaction."""
    now = timezone.now()
    return claim(now) if _due(now).exists() else []


def settle_due() -> int:
    """Claim and finish due refunds until the worker stops; return how many were claimed."""
    return work_off(_claim_due, _finish_or_log, threads=CONCURRENCY)
