"""The life of a refund: requested under the payment's limit, adopted from the gateway, settled.

Each change locks the payment first. `Payment.refund_reserved` is the limit: what is on its way
counts, and only a refund that FAILED or was CANCELLED gives its part back.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Round
from django.utils import timezone

from orders.models import Payment, sources_not_allowed
from retail.observability import current_request_id
from returns import announcements, metrics
from returns.errors import RefundProblemError
from returns.models import ENDED, Refund
from returns.transitions import REFUND_TRANSITIONS

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

    from returns.models import Return

Status, Failure = Refund.Status, Refund.Failure

RETRIES = 2  # new refunds in place of failed ones, before a person decides
RETRY_AFTER = timedelta(seconds=30)


def _reserve(payment: Payment, amount: Decimal, **required: Any) -> bool:
    """Reserve `amount` of a completed payment, in one statement; return False if that exceeds it.

    `required` are more values that the payment must have. Sums are rounded because SQLite adds
    decimals as floating-point numbers.
    """
    reserved = Round(F("refund_reserved") + amount, precision=2)
    paid = Payment.objects.filter(pk=payment.pk, status=Payment.Status.COMPLETED, **required)
    within = paid.alias(after=reserved).filter(after__lte=F("amount"))
    return bool(within.update(refund_reserved=reserved))


def _release(payment_id: int, amount: Decimal) -> None:
    reserved = Round(F("refund_reserved") - amount, precision=2)
    Payment.objects.filter(pk=payment_id).update(refund_reserved=reserved)


def _why_not(payment: Payment, amount: Decimal, seen: Decimal | None = None) -> str:
    """Return in words why an amount cannot be reserved."""
    payment.refresh_from_db()
    left = payment.amount - payment.refund_reserved
    if payment.status != Payment.Status.COMPLETED:
        return "This payment was never completed, so there is nothing to refund."
    if payment.disputed_at is not None:
        return (
            "The customer's bank disputes this charge. It is paid back by the bank if the customer "
            "wins, so it can't be refunded here until the dispute is closed."
        )
    if seen is not None and payment.refund_reserved != seen:
        return (
            "Something was refunded since you opened this page: now "
            f"{payment.refund_reserved} of {payment.amount} {payment.currency}. Check it again."
        )
    return (
        f"Only {left} of {payment.amount} {payment.currency} can still be refunded, not {amount}."
    )


@transaction.atomic
def refund_request(  # noqa: PLR0913 - by keyword only; most are optional
    *,
    payment: Payment,
    amount: Decimal,
    reason: str,
    user_id: int | None = None,
    of_return: Return | None = None,
    message: str = "",
    form_key: UUID | None = None,
    seen: Decimal | None = None,
) -> Refund:
    """Reserve an amount of a payment and store its refund; the worker sends it to the gateway.

    The same form gives the same refund. `seen` is what the person who asks knows to be refunded
    already. Raises RefundProblemError, and changes nothing, if the amount exceeds what is left, the
    charge is disputed, or more was refunded than `seen`.
    """
    if amount <= 0:
        raise RefundProblemError("Enter an amount above 0.")
    payment = Payment.objects.select_for_update().get(pk=payment.pk)
    if form_key and (earlier := Refund.objects.filter(form_key=form_key).first()):
        if earlier.payment_id != payment.pk:
            raise RefundProblemError("This form is of another order. Open the page again.")
        return earlier
    required = {} if seen is None else {"refund_reserved": seen}
    if not _reserve(payment, amount, disputed_at=None, **required):
        raise RefundProblemError(_why_not(payment, amount, seen))
    refund = Refund.objects.create(
        payment=payment,
        of_return=of_return,
        form_key=form_key,
        amount=amount,
        currency=payment.currency,
        reason=reason,
        message=message,
        requested_by_id=user_id,
        request_id=current_request_id(),
    )
    announcements.REFUND_REQUESTED.write(about=refund.reference)
    transaction.on_commit(partial(metrics.record_refund_requested, refund))
    return refund


def change_status(refund: Refund, status: str, **fields: Any) -> bool:
    """Change a refund's status along its transitions; return False if it cannot change so."""
    not_allowed = sources_not_allowed(REFUND_TRANSITIONS, status)
    movable = Refund.objects.filter(pk=refund.pk).exclude(status__in=not_allowed)
    if not movable.update(status=status, **fields):
        refund.refresh_from_db()
        return False
    refund.status = status
    for name, value in fields.items():
        setattr(refund, name, value)
    return True


@transaction.atomic
def refund_adopt(*, refund: Refund, status: str, failure: str = "") -> bool:
    """Store the status that the gateway reports; return whether it changed.

    A refund that failed or was cancelled, even after it had been paid out, gives its part of the
    limit back, and the money is owed again: a new refund replaces it, or a person has to decide.
    """
    payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
    was_paid = Refund.objects.filter(pk=refund.pk, status=Status.SUCCEEDED).exists()
    now = timezone.now()
    if status == Status.SUCCEEDED:
        if not change_status(refund, status, settled_at=now):
            return False
        announcements.REFUND_PAID.write(about=refund.reference)
        transaction.on_commit(partial(metrics.record_refund_settled, refund))
    elif status in ENDED:
        if not change_status(refund, status, failure=failure or Failure.GATEWAY, settled_at=None):
            return False
        _release(payment.pk, refund.amount)
        transaction.on_commit(partial(metrics.record_refund_ended, refund, was_paid=was_paid))
        _try_again(payment, refund, now)
        if was_paid:
            announcements.REFUND_FAILED.write(about=refund.reference)
    else:
        return change_status(refund, status)
    return True


def _try_again(payment: Payment, refund: Refund, now: datetime) -> None:
    """Replace a refund that the gateway could not pay out, unless that has failed too often."""
    if refund.status != Status.FAILED or refund.failure != Failure.GATEWAY:
        return
    if len(refund.earlier()) < RETRIES and _reserve(payment, refund.amount, disputed_at=None):
        _replace(refund, due_at=now + RETRY_AFTER)


def _replace(refund: Refund, **fields: Any) -> Refund:
    """Store a refund in place of one that failed; its amount is reserved already."""
    new = Refund.objects.create(
        payment_id=refund.payment_id,
        of_return_id=refund.of_return_id,
        replaces=refund,
        amount=refund.amount,
        currency=refund.currency,
        reason=refund.reason,
        request_id=current_request_id(),
        **{"message": refund.message, **fields},
    )
    Refund.objects.filter(pk=refund.pk).update(settled_at=timezone.now())
    transaction.on_commit(partial(metrics.record_refund_requested, new))
    return new


def _owed(refund: Refund) -> Payment:
    """Lock the payment of a refund that failed and was not replaced. Raises RefundProblemError."""
    payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
    refund.refresh_from_db()
    if not refund.is_owed:
        raise RefundProblemError("This refund has been dealt with since you opened the page.")
    return payment


@transaction.atomic
def refund_retry(*, refund: Refund, user_id: int | None) -> Refund:
    """Request a refund in place of one that failed. Raises RefundProblemError."""
    payment = _owed(refund)
    if not _reserve(payment, refund.amount, disputed_at=None):
        raise RefundProblemError(_why_not(payment, refund.amount))
    return _replace(refund, requested_by_id=user_id)


@transaction.atomic
def refund_paid_otherwise(*, refund: Refund, user_id: int | None, message: str) -> Refund:
    """Record that the money of a failed refund went back another way, such as by bank transfer.

    Also if the customer's bank paid it back, in a dispute. Raises RefundProblemError.
    """
    payment = _owed(refund)
    if not message.strip():
        raise RefundProblemError("Say how the money was paid back; the customer reads it.")
    if not _reserve(payment, refund.amount):
        raise RefundProblemError(_why_not(payment, refund.amount))
    new = _replace(
        refund,
        requested_by_id=user_id,
        method=Refund.Method.MANUAL,
        status=Status.SUCCEEDED,
        message=message.strip(),
        settled_at=timezone.now(),
    )
    announcements.REFUND_PAID.write(about=new.reference)
    transaction.on_commit(partial(metrics.record_refund_settled, new))
    return new


@transaction.atomic
def refund_resolve(*, refund: Refund, paid: bool) -> None:
    """Record what a person has found at the gateway about a refund that the shop cannot ask for.

    Raises RefundProblemError if the refund does not need a person any more.
    """
    Payment.objects.select_for_update().get(pk=refund.payment_id)
    refund.refresh_from_db()
    if refund.status != Status.NEEDS_HUMAN:
        raise RefundProblemError("This refund has been dealt with since you opened the page.")
    if paid:
        refund_adopt(refund=refund, status=Status.SUCCEEDED)
    else:
        refund_adopt(refund=refund, status=Status.FAILED, failure=Failure.HUMAN)
