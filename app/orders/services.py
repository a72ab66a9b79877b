"""Checkout: throttle, ask the breaker, reserve, charge, settle (docs/checkout.md)."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError

from cart.services import CartChangedError
from orders import metrics
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.settlement import charge
from payments.services import BreakerOpenError, Permit, payment_acquire, payment_release
from products.services import SoldOutError
from retail.throttling import ThrottledError, throttle

if TYPE_CHECKING:
    from uuid import UUID

    from orders.order import CheckoutRequest

__all__ = ["CartChangedError", "StockConflictError", "sale_by_form", "sale_checkout"]


class StockConflictError(Exception):
    """The database's constraint stopped the reservation; nothing was taken."""


def _throttle(order: CheckoutRequest) -> None:
    throttle(
        "checkout",
        [f"{order.user_id}:{product_id}" for product_id in order.quantities],
        limit=settings.THROTTLE_CHECKOUT_LIMIT,
        seconds=settings.THROTTLE_CHECKOUT_SECONDS,
        user_id=order.user_id,
    )


def sale_by_form(*, user_id: int, idempotency_key: UUID) -> Sale | None:
    """Return the order that this form has made already, if it has."""
    return Sale.objects.filter(user_id=user_id, idempotency_key=idempotency_key).first()


def _by_form(order: CheckoutRequest) -> Sale | None:
    return sale_by_form(user_id=order.user_id, idempotency_key=order.idempotency_key)


def sale_checkout(*, order: CheckoutRequest) -> Sale:
    """Place an order and, unless it is of a flash sale, charge it; return it as it then stands.

    The same form sent again, or twice at the same moment, returns the one order that it made. Must
    run with no transaction open. Raises ThrottledError, BreakerOpenError (nothing was reserved),
    CartChangedError, SoldOutError, or StockConflictError; after any of these, cart and stock are as
    before.
    """
    started = perf_counter()
    outcome: str | None = "error"
    look = order.form_used is not False
    try:
        permit = _admit(order)
        look = True  # from here on the form's other sending may be what is in the way
        sale = _place(order, permit)
        outcome = _outcome(sale)
    except _REFUSALS as refusal:
        made = _by_form(order) if look else None
        if made is not None:
            outcome = None
            return made
        outcome = _record_refusal(order, refusal)
        if isinstance(refusal, IntegrityError):
            raise StockConflictError from refusal
        raise
    finally:
        if outcome is not None:
            metrics.record_checkout(perf_counter() - started, order.kind, outcome)
    return sale


# What a second sending of a form can meet because of the first; the first one's order answers both.
_REFUSALS = (ThrottledError, BreakerOpenError, CartChangedError, SoldOutError, IntegrityError)


def _record_refusal(order: CheckoutRequest, refusal: Exception) -> str | None:
    """Count a refusal and return its outcome; None where the checkout never began."""
    if isinstance(refusal, BreakerOpenError):
        metrics.record_refused("payment_unavailable")
        return "payment_unavailable"
    if isinstance(refusal, SoldOutError):
        metrics.record_refused("sold_out", refusal.product_id)
        return "sold_out"
    if isinstance(refusal, IntegrityError):
        metrics.record_refused("conflict")
        metrics.record_stock_conflict(order.quantities)
        return "conflict"
    return None


def _refuse_sold_out(order: CheckoutRequest) -> None:
    """Refuse at once what the buyer's own look at the stock, a moment ago, says is gone.

    It is the reservation that guards the stock; this only keeps those who come too late from
    queueing for a row that has nothing left.
    """
    for line in order.lines:
        if line.product.stock < line.quantity:
            raise SoldOutError(line.product.pk)


def _admit(order: CheckoutRequest) -> Permit:
    """Return leave to go on, from the throttle, the stock as it was seen, and the breaker."""
    _throttle(order)
    _refuse_sold_out(order)
    return payment_acquire(key=new_payment_key(), known_row=order.breaker)


def _place(order: CheckoutRequest, permit: Permit) -> Sale:
    try:
        sale, payment = reserve(order, permit.holder)
    except BaseException:
        payment_release(permit=permit)
        raise
    if sale.kind == Sale.Kind.CART:
        charge(payment, permit, first=True)
    return sale


def _outcome(sale: Sale) -> str:
    """Return how the checkout that made `sale` ended for the buyer, as a label."""
    if sale.status == Sale.Status.CONFIRMED:
        return "confirmed"
    if sale.status == Sale.Status.CANCELLED:
        return "cancelled"
    if sale.status == Sale.Status.FAILED:
        # The same word as in retail_orders_total: a rejected charge is the shop's failure.
        rejected = sale.payments.filter(failure_reason=Payment.Failure.REJECTED).exists()
        return "payment_unavailable" if rejected else "payment_declined"
    return "pending" if sale.kind == Sale.Kind.FLASH else "payment_unknown"
