"""Step 5 of a checkout: the worker finishes payments that a request left unsettled.

What was never sent is sent, or its order is cancelled if that is too late. What
may have been sent is charged again under the same key for a while, then cancelled at the gateway,
which returns the outcome.

The gateway may have been changed since: another one has never heard of a payment, and would cancel
what was charged, or charge it a second time. What may have been sent there is left alone.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from orders.models import Payment
from orders.selectors import of_this_gateway, unfinished
from orders.settlement import (
    RETRY_AFTER,
    charge,
    payment_mark_sent,
    payment_mark_unknown,
    payment_settle,
    still_movable,
)
from payments.services import (
    Answer,
    BreakerOpenError,
    NoAnswerError,
    payment_acquire,
    payment_cancel,
    payment_release,
)
from retail import jobs
from retail.claims import claim_due, work_off
from retail.db.batches import readable
from retail.jobs import job
from retail.observability.context import current_request_id, request_context

if TYPE_CHECKING:
    from datetime import datetime


BATCH = 40
CONCURRENCY = 8  # threads, which mostly wait for the gateway

logger = logging.getLogger("retail.orders")


def longest_wait() -> timedelta:
    """Return the longest time after which an unsettled payment is due again."""
    seconds = (
        settings.PAYMENT_RESEND_AFTER,
        settings.PAYMENT_LEASE,
        settings.BREAKER_RESET_SECONDS,
        RETRY_AFTER.total_seconds(),
    )
    return timedelta(seconds=max(seconds))


def _due(now: datetime) -> QuerySet[Payment]:
    """Return the due payments that this worker can finish with the gateway, or without it."""
    too_late = now - timedelta(seconds=settings.PAYMENT_SEND_WITHIN)
    never_sent = Q(sent_at=None, created_at__lte=too_late)
    return unfinished().filter(of_this_gateway() | never_sent, due_at__lte=now)


def claim(now: datetime) -> list[Payment]:
    """Claim a batch of due payments for the length of a lease; return those that can be read."""
    lease = timedelta(seconds=settings.PAYMENT_LEASE)  # longer than a batch can take: checks.py
    claimed = claim_due(_due(now), BATCH, until=now + lease)
    return readable(Payment.objects.select_related("sale").filter(pk__in=claimed).order_by("pk"))


def _send(payment: Payment) -> None:
    """Charge a payment for the first time, or cancel its order if it has waited too long."""
    waited = timezone.now() - payment.created_at
    if waited >= timedelta(seconds=settings.PAYMENT_SEND_WITHIN):
        payment_settle(payment=payment, answer=Answer.UNSENT, in_background=True)
        return
    permit = payment_acquire(key=payment.key)
    try:
        marked = payment_mark_sent(payment=payment)
    except BaseException:
        payment_release(permit=permit)
        raise
    if marked:
        charge(payment, permit, first=True, in_background=True)
    else:
        payment_release(permit=permit)  # another worker has sent it since it was claimed


def _send_again_or_cancel(payment: Payment, sent_at: datetime) -> None:
    """Charge a payment again under its key, or cancel the key if it was sent too long ago."""
    if timezone.now() - sent_at < timedelta(seconds=settings.PAYMENT_CANCEL_AFTER):
        permit = payment_acquire(key=payment.key)
        charge(payment, permit, first=False, in_background=True)
    else:
        answer = payment_cancel(key=payment.key)
        payment_settle(payment=payment, answer=answer, in_background=True)


def finish(payment: Payment) -> None:
    """Charge or cancel a payment; without an answer, schedule the next attempt."""
    with request_context(payment.sale.request_id or current_request_id()):
        try:
            if payment.sent_at is None:
                _send(payment)
            else:
                _send_again_or_cancel(payment, payment.sent_at)
            wait = RETRY_AFTER
        except BreakerOpenError as error:
            wait = timedelta(seconds=error.retry_after)
        except NoAnswerError:
            payment_mark_unknown(payment=payment)
            wait = RETRY_AFTER
        still_movable(payment, Payment.Status.COMPLETED).update(due_at=timezone.now() + wait)


def _finish_or_log(payment: Payment) -> None:
    try:
        if jobs.stopping.is_set():
            _give_back(payment)
        else:
            finish(payment)
    except Exception:
        # It is claimed again when its lease expires; the rest of the batch goes on.
        logger.exception("event=payment.finish_failed", extra={"order_ref": payment.sale.reference})


def _give_back(payment: Payment) -> None:
    """End the claim on a payment that nothing was done with."""
    claimed = still_movable(payment, Payment.Status.COMPLETED).filter(due_at=payment.due_at)
    claimed.update(due_at=timezone.now())


def _claim_due() -> list[Payment]:
    """Claim what is due. Most polls find nothing, and this needs no transaction."""
    now = timezone.now()
    return claim(now) if _due(now).exists() else []


def settle_due() -> int:
    """Claim and finish due payments until the worker stops; return how many were claimed."""
    return work_off(_claim_due, _finish_or_log, threads=CONCURRENCY)


@job(every_minutes=1, success_within_minutes=10)
def settle_payments() -> int:
    """Settle due payments from the job queue too, in case the worker's poller is stuck."""
    return settle_due()
