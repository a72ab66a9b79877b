"""Step 5 of a checkout: the worker finishes what a request did not.

A payment that is due is claimed by pushing its `due_at` ahead, so that no other worker takes it up
meanwhile, and whoever dies with it loses it again. Young ones are charged once more under the same
key; old ones are cancelled at the gateway, which answers with what became of them.
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
    ASK_AGAIN_AFTER,
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
AT_ONCE = 8  # calls to the gateway; it is waiting for them that takes the time
BUDGET_SECONDS = 20  # then other jobs have their turn; the worker's watch goes on with this

logger = logging.getLogger("retail.orders")


@transaction.atomic
def claim(now: datetime) -> list[Payment]:
    """Return payments that are due, now this worker's for the length of a lease."""
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
    """Charge or cancel one payment; where nobody answers, have it taken up again later."""
    age = timezone.now() - payment.created_at
    with request_context(payment.sale.request_id or current_request_id()):
        try:
            if age < timedelta(seconds=settings.PAYMENT_CANCEL_AFTER):
                charge(payment, payment_acquire(key=payment.key), first=False)
            else:
                payment_settle(payment=payment, answer=payment_cancel(key=payment.key))
            wait = ASK_AGAIN_AFTER
        except BreakerOpenError as error:
            wait = timedelta(seconds=error.retry_after)
        except NoAnswerError:
            payment_mark_unknown(payment=payment)
            wait = ASK_AGAIN_AFTER
        still_movable(payment, Payment.Status.COMPLETED).update(due_at=timezone.now() + wait)


def _finish_in_thread(payment: Payment) -> None:
    try:
        finish(payment)
    except Exception:
        # Its lease runs out and it is taken up again; the others must not wait for it.
        logger.exception("event=payment.finish_failed", extra={"order_ref": payment.sale.reference})
    finally:
        connections.close_all()


def settle_due() -> int:
    """Take up the payments that are due; return how many that were."""
    taken = 0
    until = monotonic() + BUDGET_SECONDS
    while monotonic() < until and _any_due() and (batch := claim(timezone.now())):
        taken += len(batch)
        if len(batch) == 1:
            finish(batch[0])
            continue
        with ThreadPoolExecutor(min(AT_ONCE, len(batch)), "settle") as pool:
            list(pool.map(_finish_in_thread, batch))
    return taken


def _any_due() -> bool:
    """Whether it is worth a transaction to claim payments: asked many times for one yes."""
    return Payment.objects.filter(status__in=UNFINISHED, due_at__lte=timezone.now()).exists()


@job(every_minutes=1)
def settle_payments() -> int:
    """Do the same from the queue, should the worker's own watch over payments be stuck."""
    return settle_due()
