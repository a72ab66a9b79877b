"""Steps 3 and 4 of a checkout: charge the payment, then settle it and its order."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from cart.services import cart_restore
from orders import metrics
from orders.announcements import sale_announce
from orders.models import PAYMENT_TRANSITIONS, SALE_TRANSITIONS, Payment, Sale, sources_not_allowed
from payments.services import Answer, Charge, NoAnswerError, Permit, payment_charge
from products.services import stock_release

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

RETRY_AFTER = timedelta(seconds=10)

_PAYMENT: Mapping[Answer, tuple[Payment.Status, str]] = {
    Answer.APPROVED: (Payment.Status.COMPLETED, ""),
    Answer.DECLINED: (Payment.Status.FAILED, Payment.Failure.DECLINED),
    Answer.CANCELLED: (Payment.Status.FAILED, Payment.Failure.CANCELLED),
    Answer.REJECTED: (Payment.Status.FAILED, Payment.Failure.REJECTED),
    Answer.UNSENT: (Payment.Status.FAILED, Payment.Failure.UNSENT),
}
_SALE: Mapping[Answer, Sale.Status] = {
    Answer.APPROVED: Sale.Status.CONFIRMED,
    Answer.DECLINED: Sale.Status.FAILED,
    Answer.CANCELLED: Sale.Status.CANCELLED,
    Answer.REJECTED: Sale.Status.FAILED,
    Answer.UNSENT: Sale.Status.CANCELLED,
}
# Metric label of a failed order. A rejected charge is the shop's fault, not the card's.
_OUTCOME: Mapping[Answer, str] = {
    Answer.DECLINED: "payment_declined",
    Answer.CANCELLED: "cancelled",
    Answer.REJECTED: "payment_unavailable",
    Answer.UNSENT: "cancelled",
}


def still_movable(payment: Payment, status: Payment.Status) -> QuerySet[Payment]:
    """Return a queryset of the payment if its status may still change to `status`.

    Excludes the other states instead of filtering for PENDING: PostgreSQL would scan the partial
    index on pending payments, thousands of rows on a busy night, instead of using the primary key.
    """
    not_allowed = sources_not_allowed(PAYMENT_TRANSITIONS, status)
    return Payment.objects.filter(pk=payment.pk).exclude(status__in=not_allowed)


@transaction.atomic
def payment_settle(*, payment: Payment, answer: Answer, in_background: bool = False) -> bool:
    """Settle a payment and finish its order; return whether this call did.

    Of concurrent callers (a request, workers) only the first changes anything. `payment` and its
    sale then match the database. `in_background`: the buyer's request does not show the outcome.
    """
    status, reason = _PAYMENT[answer]
    sale, now = payment.sale, timezone.now()
    movable = still_movable(payment, status)
    if answer is Answer.UNSENT:
        movable = movable.filter(sent_at=None)  # nobody has begun to send it since it was read
    updated = movable.update(status=status, failure_reason=reason, settled_at=now)
    if not updated:
        _refresh(payment)
        return False
    not_allowed = sources_not_allowed(SALE_TRANSITIONS, _SALE[answer])
    open_sale = Sale.objects.filter(pk=sale.pk).exclude(status__in=not_allowed)
    finished = open_sale.update(status=_SALE[answer], finished_at=now)
    if not finished:
        raise AssertionError(f"{sale.reference} was finished before its payment was settled")
    payment.status, payment.failure_reason, payment.settled_at = status, reason, now
    sale.status, sale.finished_at = _SALE[answer], now
    sale_announce(sale=sale, payment=payment, in_background=in_background)
    if answer == Answer.APPROVED:
        transaction.on_commit(partial(metrics.record_confirmed, sale))
    else:
        quantities = dict(sale.items.values_list("product_id", "quantity"))
        # Lock the cart before the products, as a reservation does.
        cart_restore(user_id=sale.user_id, quantities=quantities)
        stock_release(quantities=quantities, reference=sale.reference)
        transaction.on_commit(partial(metrics.record_ended, sale, _OUTCOME[answer]))
    transaction.on_commit(partial(metrics.record_settled, sale, payment))
    return True


def payment_mark_sent(*, payment: Payment) -> bool:
    """Store that the first charge is about to be sent; return False if another caller may send it.

    Must be committed before the charge: what is not marked was never sent.
    """
    now = timezone.now()
    unsent = still_movable(payment, Payment.Status.COMPLETED).filter(sent_at=None)
    if not unsent.update(sent_at=now):
        return False
    payment.sent_at = now
    return True


def payment_mark_unsent(*, payment: Payment) -> None:
    """Store that the charge marked as sent was not, unless another worker has claimed it since."""
    movable = still_movable(payment, Payment.Status.COMPLETED)
    if movable.filter(sent_at=payment.sent_at, due_at=payment.due_at).update(sent_at=None):
        payment.sent_at = None


@transaction.atomic
def payment_mark_unknown(*, payment: Payment) -> bool:
    """Mark a payment as unknown; return whether it changed. The stock stays reserved.

    The worker retries after RETRY_AFTER.
    """
    updated = still_movable(payment, Payment.Status.UNKNOWN).update(
        status=Payment.Status.UNKNOWN, due_at=timezone.now() + RETRY_AFTER
    )
    if not updated:
        _refresh(payment)
        return False
    payment.status = Payment.Status.UNKNOWN
    transaction.on_commit(partial(metrics.record_ended, payment.sale, "payment_unknown"))
    return True


def _refresh(payment: Payment) -> None:
    """Reread a payment that another caller has changed, and its order."""
    sale = payment.sale
    sale.refresh_from_db()
    payment.refresh_from_db()
    payment.sale = sale


def charge(payment: Payment, permit: Permit, *, first: bool, in_background: bool = False) -> None:
    """Charge a payment at the gateway and settle it, or mark it as unknown without an answer.

    `first` means that this charge cannot have been sent before: only then does a rejection prove
    that nothing was charged, and a missing connection that nothing was sent. `in_background` as in
    `payment_settle`. Must run outside a transaction.
    """
    request = Charge(
        key=payment.key,
        amount=payment.amount,
        currency=payment.currency,
        token=payment.token,
        reference=payment.sale.reference,
    )
    try:
        answer = payment_charge(charge=request, permit=permit)
        if answer is Answer.REJECTED and not first:
            raise NoAnswerError("rejected, but an earlier attempt may have been charged")  # noqa: TRY301
    except NoAnswerError as error:
        if first and not error.maybe_sent:
            payment_mark_unsent(payment=payment)
        payment_mark_unknown(payment=payment)
    else:
        payment_settle(payment=payment, answer=answer, in_background=in_background)
