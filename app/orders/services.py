"""Checkout: throttle, acquire a breaker permit, reserve, charge, settle (docs/checkout.md)."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError

from cart.selectors import order_problem
from cart.services import CartChangedError
from orders import metrics
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.settlement import charge
from payments.cards import card_problem
from payments.services import BreakerOpenError, Permit, payment_acquire, payment_release
from products.services import SoldOutError
from retail.throttling import ThrottledError, throttle

if TYPE_CHECKING:
    from uuid import UUID

    from orders.order import CheckoutRequest

__all__ = [
    "CartChangedError",
    "OrderProblemError",
    "StockConflictError",
    "sale_by_form",
    "sale_checkout",
]


class OrderProblemError(Exception):
    """Nothing was reserved: the lines or the card cannot be ordered with, as the message says."""


class StockConflictError(Exception):
    """A database constraint refused the reservation; nothing was reserved."""


def _throttle(order: CheckoutRequest) -> None:
    throttle(
        "checkout",
        [f"{order.user_id}:{product_id}" for product_id in order.quantities],
        limit=settings.THROTTLE_CHECKOUT_LIMIT,
        seconds=settings.THROTTLE_CHECKOUT_SECONDS,
        user_id=order.user_id,
    )


def sale_by_form(*, user_id: int, idempotency_key: UUID) -> Sale | None:
    """Return the order already placed with this form, if any."""
    return Sale.objects.filter(user_id=user_id, idempotency_key=idempotency_key).first()


def _by_form(order: CheckoutRequest) -> Sale | None:
    return sale_by_form(user_id=order.user_id, idempotency_key=order.idempotency_key)


def sale_checkout(*, order: CheckoutRequest) -> Sale:
    """Place an order, charge it unless it is a flash sale, and return it.

    Submitting the same form again, even concurrently, returns the same order. Must run outside a
    transaction. Raises OrderProblemError, ThrottledError, BreakerOpenError, CartChangedError,
    SoldOutError or StockConflictError; cart and stock are then unchanged.
    """
    started = perf_counter()
    outcome: str | None = "error"
    maybe_placed = order.form_used is not False
    try:
        permit = _admit(order)
        maybe_placed = True  # a concurrent submission of the form may cause the refusals below
        sale = _place(order, permit)
        outcome = _outcome(sale)
    except _REFUSALS as refusal:
        existing = _by_form(order) if maybe_placed else None
        if existing is not None:
            outcome = None
            return existing
        outcome = _record_refusal(order, refusal)
        if isinstance(refusal, IntegrityError):
            raise StockConflictError from refusal
        raise
    finally:
        if outcome is not None:
            metrics.record_checkout(perf_counter() - started, order.kind, outcome)
    return sale


# Refusals that an earlier submission of the same form can cause; its order is then returned.
_REFUSALS = (
    *(OrderProblemError, ThrottledError, BreakerOpenError),
    *(CartChangedError, SoldOutError, IntegrityError),
)


def _record_refusal(order: CheckoutRequest, refusal: Exception) -> str | None:
    """Count a refusal and return its outcome, or None if the checkout is not counted."""
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
    """Fail before the row lock if the last read shows too little stock.

    This is a fast path that spares late buyers the lock queue. The reservation is the guard.
    """
    for line in order.lines:
        if line.product.stock < line.quantity:
            raise SoldOutError(line.product.pk)


def _admit(order: CheckoutRequest) -> Permit:
    """Check lines, card, throttle and the last known stock, then acquire a breaker permit."""
    if problem := order_problem(order.lines) or card_problem(order.payment_token):
        raise OrderProblemError(problem)
    _throttle(order)
    _refuse_sold_out(order)
    return payment_acquire(
        key=new_payment_key(),
        known_row=order.breaker,
        charged_now=order.kind == Sale.Kind.CART,
    )


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
    """Return the checkout's outcome as a metric label."""
    if sale.status == Sale.Status.CONFIRMED:
        return "confirmed"
    if sale.status == Sale.Status.CANCELLED:
        return "cancelled"
    if sale.status == Sale.Status.FAILED:
        # As in retail_orders_total: a rejected charge is the shop's fault, not the card's.
        rejected = sale.payments.filter(failure_reason=Payment.Failure.REJECTED).exists()
        return "payment_unavailable" if rejected else "payment_declined"
    return "pending" if sale.kind == Sale.Kind.FLASH else "payment_unknown"
