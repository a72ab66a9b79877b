"""Checkout: throttle, ask the breaker, reserve, charge, settle (docs/checkout.md)."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError

from orders import metrics
from orders.models import Sale, new_payment_key
from orders.reservation import Order, reserve
from orders.settlement import charge
from payments.services import BreakerOpenError, payment_ask, payment_give_back
from products.services import SoldOutError
from retail.throttling import throttle

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Order", "StockConflictError", "sale_checkout"]


class StockConflictError(Exception):
    """The database's constraint stopped the reservation; nothing was taken."""


def _throttle(order: Order) -> None:
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


def sale_checkout(*, order: Order) -> Sale:
    """Place an order and, unless it is of a flash sale, charge it; return it as it then stands.

    Must run with no transaction open. Raises ThrottledError, BreakerOpenError (nothing was
    reserved), SoldOutError, or StockConflictError; after any of these, cart and stock are as
    before.
    """
    started = perf_counter()
    _throttle(order)
    made = sale_by_form(user_id=order.user_id, idempotency_key=order.idempotency_key)
    if made is not None:
        return made
    outcome = "conflict"
    try:
        sale = _place(order)
        outcome = _outcome(sale)
    except BreakerOpenError:
        outcome = "payment_unavailable"
        metrics.record_refused(outcome)
        raise
    except SoldOutError as error:
        outcome = "sold_out"
        metrics.record_refused(outcome, error.product_id)
        raise
    finally:
        metrics.record_checkout(perf_counter() - started, order.kind, outcome)
    return sale


def _place(order: Order) -> Sale:
    key = new_payment_key()
    permit = payment_ask(key=key)
    try:
        sale, payment = reserve(order, key)
    except BaseException as error:
        payment_give_back(permit=permit)
        if isinstance(error, IntegrityError):
            return _after_integrity_error(order, error)
        raise
    if sale.kind == Sale.Kind.CART:
        charge(payment, permit)
        sale.refresh_from_db()
    return sale


def _after_integrity_error(order: Order, error: IntegrityError) -> Sale:
    """Return the order made by the same form a moment ago; else it was the stock's constraint."""
    made = sale_by_form(user_id=order.user_id, idempotency_key=order.idempotency_key)
    if made is not None:
        return made
    metrics.record_refused("conflict")
    metrics.record_stock_conflict(order.quantities)
    raise StockConflictError from error


def _outcome(sale: Sale) -> str:
    """Return how the checkout that made `sale` ended for the buyer, as a label."""
    if sale.status == Sale.Status.CONFIRMED:
        return "confirmed"
    if sale.status == Sale.Status.CANCELLED:
        return "cancelled"
    if sale.status == Sale.Status.FAILED:
        return "payment_declined"
    return "pending" if sale.kind == Sale.Kind.FLASH else "payment_unknown"
