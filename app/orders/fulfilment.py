"""What becomes of an order after its payment: it is dispatched, or cancelled before (ADR 28)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from orders import metrics
from orders.announcements import DISPATCHED
from orders.models import Payment, Sale
from products.models import StockMovement
from products.services import stock_put_back

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet


class NotDispatchableError(Exception):
    """The order cannot be dispatched, as the message says."""


def to_dispatch() -> QuerySet[Sale]:
    """Return the paid orders that are neither dispatched nor cancelled."""
    return Sale.objects.filter(status=Sale.Status.CONFIRMED, dispatched_at=None, cancelled_at=None)


@transaction.atomic
def sale_dispatch(*, reference: str, user_id: int) -> bool:
    """Mark an order as dispatched and e-mail its buyer; return False if it was marked already.

    Of a dispatch and a cancellation at once, the first prevents the other. Raises
    NotDispatchableError if the order is unknown, not paid, or cancelled.
    """
    if to_dispatch().filter(reference=reference).update(dispatched_at=timezone.now()):
        DISPATCHED.write(about=reference)
        transaction.on_commit(partial(metrics.record_dispatched, reference, user_id))
        return True
    sale = Sale.objects.filter(reference=reference).first()
    if sale is None:
        raise NotDispatchableError(f"There is no order {reference}.")
    if sale.cancelled_at is not None:
        raise NotDispatchableError(f"{reference} was cancelled.")
    if sale.dispatched_at is None:
        raise NotDispatchableError(f"{reference} is not paid: {sale.state_label.lower()}.")
    return False


@transaction.atomic
def sale_cancel(*, sale: Sale) -> bool:
    """Cancel a paid order and put its units back; return False if it is dispatched or cancelled.

    The caller has locked its payment, then the order, and sees to the refund in the same
    transaction.
    """
    now = timezone.now()
    if not to_dispatch().filter(pk=sale.pk).update(cancelled_at=now):
        return False
    sale.cancelled_at = now
    stock_put_back(
        quantities=dict(sale.items.values_list("product_id", "quantity")),
        reason=StockMovement.Reason.CANCEL,
        reference=sale.reference,
    )
    transaction.on_commit(partial(metrics.record_cancelled, sale.reference))
    return True


def payment_dispute(*, key: str, at: datetime | None) -> None:
    """Store since when a charge is disputed, or that it is not any more."""
    Payment.objects.filter(key=key).update(disputed_at=at)
