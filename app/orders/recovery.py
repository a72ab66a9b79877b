"""Step 5 of a checkout: the worker finishes payments that a request left unsettled.

Claiming a due payment moves its `due_at` ahead by a lease, so that no other worker claims it until
the lease expires. Recent payments are charged again under the same key. Older ones are cancelled at
the gateway, which returns their outcome.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from orders.models import Payment
from orders.selectors import UNFINISHED
from orders.settlement import (
    RETRY_AFTER,
    charge,
    payment_mark_unknown,
    payment_settle,
    still_movable,
)
from payments.services import BreakerOpenError, NoAnswerError, payment_acquire, payment_cancel
from retail.jobs import job
from retail.observability.context import current_request_id, request_context

if TYPE_CHECKING:
    from datetime import datetime

BATCH = 40
CONCURRENCY = 8  # threads, which mostly wait for the gateway
BUDGET_SECONDS = 20  # then the worker's other pollers have their turn

logger = logging.getLogger("retail.orders")


@transaction.atomic
def claim(now: datetime) -> list[Payment]:
    """Claim a batch of due payments for the length of a lease and return them."""
    due = list(
        Payment.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("sale")
        .filter(status__in=UNFINISHED, due_at__lte=now)
        .order_by("due_at")[:BATCH]
    )
    lease = timedelta(seconds=settings.PAYMENT_LEASE)  # longer than a batch can take: checks.py
    Payment.objects.filter(pk__in=[payment.pk for payment in due]).update(due_at=now + lease)
    return due


def finish(payment: Payment) -> None:
    """Charge or cancel a payment; without an answer, schedule the next attempt."""
    age = timezone.now() - payment.created_at
    with request_context(payment.sale.request_id or current_request_id()):
        try:
            if age < timedelta(seconds=settings.PAYMENT_CANCEL_AFTER):
                permit = payment_acquire(key=payment.key)
                charge(payment, permit, first=False, in_background=True)
            else:
                answer = payment_cancel(key=payment.key)
                payment_settle(payment=payment, answer=answer, in_background=True)
            wait = RETRY_AFTER
        except BreakerOpenError as error:
            wait = timedelta(seconds=error.retry_after)
        except NoAnswerError:
            payment_mark_unknown(payment=payment)
            wait = RETRY_AFTER
        still_movable(payment, Payment.Status.COMPLETED).update(due_at=timezone.now() + wait)


def _finish_in_thread(payment: Payment) -> None:
    try:
        finish(payment)
    except Exception:
        # It is claimed again when its lease expires; the rest of the batch goes on.
        logger.exception("event=payment.finish_failed", extra={"order_ref": payment.sale.reference})
    finally:
        connections.close_all()


def settle_due() -> int:
    """Claim and finish due payments; return how many were claimed."""
    claimed = 0
    until = monotonic() + BUDGET_SECONDS
    while monotonic() < until and _any_due() and (batch := claim(timezone.now())):
        claimed += len(batch)
        if len(batch) == 1:
            finish(batch[0])
            continue
        with ThreadPoolExecutor(min(CONCURRENCY, len(batch)), "settle") as pool:
            list(pool.map(_finish_in_thread, batch))
    return claimed


def _any_due() -> bool:
    """Whether any payment is due. Most polls find none, and this needs no transaction."""
    return Payment.objects.filter(status__in=UNFINISHED, due_at__lte=timezone.now()).exists()


@job(every_minutes=1, success_within_minutes=10)
def settle_payments() -> int:
    """Settle due payments from the job queue too, in case the worker's poller is stuck."""
    return settle_due()
