"""Returns of goods: requested, approved, received, refunded; and orders cancelled before dispatch.

Rows are locked in the order of docs/checkout.md: the payment, its sale, products. A sale's returns
are changed under its lock.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from orders.announcements import CANCELLED
from orders.fulfilment import sale_cancel
from orders.models import Payment, Sale, sources_not_allowed
from products.models import StockMovement
from products.services import stock_put_back, stock_write_off
from returns import announcements, metrics
from returns.amounts import line_shares, units_share
from returns.errors import RefundProblemError, ReturnProblemError
from returns.models import Refund, Return, ReturnItem
from returns.refunds import refund_request
from returns.selectors import returnable_until, units_left, units_settled
from returns.transitions import RETURN_TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from uuid import UUID

Status = Return.Status
CHANGED = "This return has been changed since you opened the page. Check it again."


class Inspected(NamedTuple):
    """What became of the approved units of one line: how many of each."""

    sellable: int = 0
    damaged: int = 0
    lost: int = 0


def _paid(sale_id: int) -> tuple[Payment, Sale]:
    """Lock a paid order and its payment. Raises ReturnProblemError if it was not paid."""
    completed = Payment.objects.filter(sale=sale_id, status=Payment.Status.COMPLETED)
    payment = completed.select_for_update().first()
    if payment is None:
        raise ReturnProblemError("This order was not paid, so there is nothing to give back.")
    return payment, Sale.objects.select_for_update().get(pk=sale_id)


def _moved(of_return: Return, status: str, **fields: Any) -> None:
    """Change a return's status along its transitions. Raises ReturnProblemError if it cannot."""
    not_allowed = sources_not_allowed(RETURN_TRANSITIONS, status)
    movable = Return.objects.filter(pk=of_return.pk).exclude(status__in=not_allowed)
    if not movable.update(status=status, **fields):
        raise ReturnProblemError(CHANGED)
    of_return.refresh_from_db()
    transaction.on_commit(partial(metrics.record_return, of_return))


@transaction.atomic
def return_request(
    *, sale: Sale, units: Mapping[int, int], reason: str, note: str = "", form_key: UUID
) -> Return:
    """Request the return of units of an order: `units` by the id of a line.

    The same form gives the same return. Raises ReturnProblemError, and changes nothing, if the
    order was not dispatched, it is too late, or a line has not so many units left to return.
    """
    _, sale = _paid(sale.pk)
    if earlier := Return.objects.filter(form_key=form_key, sale=sale).first():
        return earlier
    if Return.objects.filter(form_key=form_key).exists():
        raise ReturnProblemError("This form was sent for another order. Reload the page.")
    until = returnable_until(sale)
    if until is None:
        raise ReturnProblemError("This order was not dispatched, so it can't be returned.")
    if timezone.now() > until:
        raise ReturnProblemError(
            f"Items can be returned within {settings.RETURN_DAYS} days of the dispatch. "
            f"For this order, that was until {until:%-d %b %Y}."
        )
    wanted = {line: count for line, count in units.items() if count}
    if not wanted:
        raise ReturnProblemError("Choose how many units to return.")
    left = units_left(sale)
    for line, count in wanted.items():
        if not 0 < count <= left.get(line, 0):
            raise ReturnProblemError(
                "Some of these units are in another return already, or you chose more than you "
                "ordered. Check the quantities."
            )
    of_return = Return.objects.create(sale=sale, reason=reason, note=note, form_key=form_key)
    ReturnItem.objects.bulk_create(
        ReturnItem(of_return=of_return, sale_item_id=line, requested=count)
        for line, count in sorted(wanted.items())
    )
    announcements.RETURN_REQUESTED.write(about=of_return.reference)
    transaction.on_commit(partial(metrics.record_return, of_return))
    return of_return


def _items(of_return: Return) -> dict[int, ReturnItem]:
    return {item.pk: item for item in of_return.items.select_related("sale_item")}


@transaction.atomic
def return_approve(*, of_return: Return, units: Mapping[int, int], answer: str = "") -> None:
    """Approve units of a return, by the id of its item. Raises ReturnProblemError.

    Whoever approves less than was requested explains it to the customer in `answer`.
    """
    _paid(of_return.sale_id)
    items = _items(of_return)
    approved = {pk: units.get(pk, 0) for pk in items}
    if any(not 0 <= count <= items[pk].requested for pk, count in approved.items()):
        raise ReturnProblemError("Approve at most as many units as were requested.")
    if not any(approved.values()):
        raise ReturnProblemError("Approve at least one unit, or reject the return.")
    if approved != {pk: item.requested for pk, item in items.items()} and not answer.strip():
        raise ReturnProblemError("Say why not all units are approved; the customer reads it.")
    _moved(of_return, Status.APPROVED, decided_at=timezone.now(), answer=answer.strip())
    for pk, count in approved.items():
        ReturnItem.objects.filter(pk=pk).update(approved=count)
    announcements.RETURN_APPROVED.write(about=of_return.reference)


@transaction.atomic
def return_reject(*, of_return: Return, answer: str) -> None:
    """Reject a return with a reason that the customer reads. Raises ReturnProblemError."""
    if not answer.strip():
        raise ReturnProblemError("Say why the return is rejected; the customer reads it.")
    _paid(of_return.sale_id)
    now = timezone.now()
    _moved(of_return, Status.REJECTED, decided_at=now, ended_at=now, answer=answer.strip())
    announcements.RETURN_REJECTED.write(about=of_return.reference)


@transaction.atomic
def return_receive(*, of_return: Return, inspected: Mapping[int, Inspected]) -> None:
    """Record what arrived of a return, by the id of its item. Raises ReturnProblemError.

    Fixes what the units are worth, puts the sellable ones on sale and writes the others off.
    """
    payment, sale = _paid(of_return.sale_id)
    items = _items(of_return)
    found = {pk: inspected.get(pk, Inspected()) for pk in items}
    if any(min(units) < 0 or sum(units) > items[pk].approved for pk, units in found.items()):
        raise ReturnProblemError("Enter at most as many units as were approved.")
    if not any(sum(units) for units in found.values()):
        raise ReturnProblemError("Enter what arrived or was lost.")
    _moved(of_return, Status.RECEIVED, received_at=timezone.now())
    worth = _worth(payment, sale, items, found)  # before these units count as settled
    for pk, units in found.items():
        row = ReturnItem.objects.filter(pk=pk)
        row.update(**units._asdict(), value=worth[pk])
    product = {pk: item.sale_item.product_id for pk, item in items.items()}
    good = {product[pk]: units.sellable for pk, units in found.items()}
    gone = {product[pk]: units.damaged + units.lost for pk, units in found.items()}
    reason = StockMovement.Reason.RETURN
    stock_put_back(quantities=good, reason=reason, reference=of_return.reference)
    stock_write_off(quantities=gone, reference=of_return.reference)
    announcements.RETURN_RECEIVED.write(about=of_return.reference)


def _worth(
    payment: Payment, sale: Sale, items: Mapping[int, ReturnItem], found: Mapping[int, Inspected]
) -> dict[int, Decimal]:
    """Return what was paid for the units, by item, after those of earlier returns."""
    lines = list(sale.items.order_by("pk"))
    shares = line_shares(payment.amount, [line.line_total for line in lines])
    share = dict(zip((line.pk for line in lines), shares, strict=True))
    before = units_settled(sale)
    return {
        pk: units_share(
            share[item.sale_item_id],
            item.sale_item.quantity,
            sum(found[pk]),
            before.get(item.sale_item_id, 0),
        )
        for pk, item in items.items()
    }


@transaction.atomic
def return_refund(
    *, of_return: Return, amount: Decimal, user_id: int | None, message: str = ""
) -> Refund | None:
    """Close a received return and refund an amount, up to what its units are worth.

    Whoever refunds less explains it to the customer in `message`; 0 refunds nothing. Raises
    ReturnProblemError or RefundProblemError, and changes nothing.
    """
    payment, _ = _paid(of_return.sale_id)
    if earlier := of_return.refunds.filter(replaces=None).first():
        return earlier
    worth = sum((item.value for item in of_return.items.all()), start=amount * 0)
    if not 0 <= amount <= worth:
        raise RefundProblemError(
            f"Refund at most {worth} {payment.currency}: what was paid for the units received."
        )
    if amount < worth and not message.strip():
        raise RefundProblemError("Say why less is refunded; the customer reads it.")
    _moved(of_return, Status.CLOSED, ended_at=timezone.now())
    if not amount:
        Return.objects.filter(pk=of_return.pk).update(answer=message.strip())
        announcements.RETURN_CLOSED.write(about=of_return.reference)
        return None
    lost = of_return.reason == Return.Reason.LOST_PARCEL
    return refund_request(
        payment=payment,
        amount=amount,
        reason=Refund.Reason.LOST_PARCEL if lost else Refund.Reason.RETURN,
        user_id=user_id,
        of_return=of_return,
        message=message.strip(),
    )


def returns_expire() -> int:
    """End approved returns whose goods were not sent back in time; return how many."""
    before = timezone.now() - timedelta(days=settings.RETURN_DAYS)
    late = Return.objects.filter(status=Status.APPROVED, decided_at__lt=before).order_by("pk")
    late = late.exclude(reason=Return.Reason.LOST_PARCEL)  # nobody has anything to send
    count = 0
    for of_return in late:
        with transaction.atomic():
            _paid(of_return.sale_id)
            try:
                _moved(of_return, Status.EXPIRED, ended_at=timezone.now())
            except ReturnProblemError:
                continue  # it arrived just now
            announcements.RETURN_EXPIRED.write(about=of_return.reference)
            count += 1
    return count


@transaction.atomic
def order_cancel(*, sale: Sale, user_id: int | None) -> Refund | None:
    """Cancel a paid order before its dispatch: the stock goes back, and all that is left is paid.

    Twice gives one refund. Returns None if nothing was left to refund. Raises ReturnProblemError
    if the order was dispatched, or RefundProblemError if the charge is disputed.
    """
    payment, sale = _paid(sale.pk)
    cancellation = payment.refunds.filter(reason=Refund.Reason.CANCELLATION, replaces=None)
    if sale.cancelled_at is not None:
        return cancellation.first()
    if not sale_cancel(sale=sale):
        raise ReturnProblemError(
            "This order has been dispatched. When it arrives, it can be returned."
        )
    left = payment.amount - payment.refund_reserved
    if not left:
        CANCELLED.write(about=sale.reference)
        return None
    return refund_request(
        payment=payment, amount=left, reason=Refund.Reason.CANCELLATION, user_id=user_id
    )
