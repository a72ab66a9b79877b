"""Metrics and log events of orders. Each event is recorded by one function here."""

from __future__ import annotations

import logging

from django.conf import settings
from django.utils import timezone

from orders.models import Payment, Sale
from retail import measures
from retail.db.reads import bounded_read
from retail.observability import current_request_id, record_metric
from retail.observability.context import at_answer
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus.catalogue import (
    HTTP_DURATION,
    STATUS_CLASSES,
    THROTTLE_SCOPES,
    USUAL,
)
from retail.observability.prometheus.instruments import Counter, DatabaseGauge, Histogram
from retail.web import proxy_log

logger = logging.getLogger("retail.orders")

OUTCOMES = (
    "confirmed",
    "sold_out",
    "payment_declined",
    "payment_unavailable",
    "payment_unknown",
    "conflict",
    "cancelled",
)
# A checkout can also end with the payment pending (flash sales are charged in the background) or
# with an error of the shop.
CHECKOUT_OUTCOMES = (*OUTCOMES, "pending", "error")

ORDERS = Counter(
    "retail_orders_total",
    "Orders and refused checkouts by outcome, counted after the commit. An order whose payment got "
    "no answer counts as payment_unknown, and again when its outcome is known.",
    {"outcome": OUTCOMES},
)
ORDER_REVENUE = Counter(
    "retail_order_revenue_total",
    "Revenue from confirmed orders, in units of the currency. Includes orders cancelled later: "
    "what goes back is in the refunds.",
    {"currency": settings.CURRENCIES},
)
CHECKOUT_DURATION = Histogram(
    "retail_checkout_duration_seconds",
    "Time from the arrival of a checkout's request to its answer, by outcome. A checkout that "
    "fails before it has an outcome is only in the durations of HTTP requests.",
    {"kind": ("cart", "flash"), "outcome": CHECKOUT_OUTCOMES},
    buckets=USUAL,
)
PAYMENTS = Counter(
    "retail_payments_total",
    "Settled payments by outcome.",
    {"outcome": ("completed", "failed")},
)
PAYMENTS_UNKNOWN = DatabaseGauge(
    "retail_payments_unknown",
    "Payments without an outcome: UNKNOWN, or PENDING beyond their time.",
)
PAYMENTS_UNKNOWN_OLDEST = DatabaseGauge(
    "retail_payments_unknown_oldest_seconds",
    "Age of the oldest payment without an outcome; 0 if there is none.",
)
STOCK_CONFLICTS = Counter(
    "retail_stock_conflicts_total",
    "Checkouts refused by a database constraint. Each is a bug in the shop.",
)
SOLD_OUT = Counter(
    "retail_sold_out_total",
    "Checkouts refused because a product was sold out.",
)

THROTTLE_SCOPES.add("checkout")

CHECKOUT_VIEW = "orders:checkout"  # a POST of it is a checkout; the rules of its objective count it
for _status in STATUS_CLASSES:
    HTTP_DURATION.create(view=CHECKOUT_VIEW, method="POST", status=_status)
proxy_log.count_posts(CHECKOUT_VIEW, "checkout")


def record_confirmed(sale: Sale) -> None:
    """Record a confirmed order. Call it after the commit."""
    ORDERS.inc(outcome="confirmed")
    ORDER_REVENUE.inc(float(sale.total), currency=sale.currency)
    record_metric(
        "orders_per_day",
        1,
        {"order_ref": sale.reference, "kind": sale.kind, "request_id": current_request_id()},
    )


def record_ended(sale: Sale, outcome: str) -> None:
    """Record an order that ended without confirmation. Call it after the commit."""
    ORDERS.inc(outcome=outcome)
    logger.info("event=order.ended", extra={"order_ref": sale.reference, "outcome": outcome})


def record_dispatched(reference: str, user_id: int) -> None:
    """Log a dispatched order and who marked it. Call it after the commit."""
    fields = {"order_ref": reference, "user_id": user_id}
    log_event(logger, logging.INFO, "event=order.dispatched", fields)


def record_cancelled(reference: str) -> None:
    """Log a paid order that was cancelled before its dispatch. Call it after the commit."""
    log_event(logger, logging.INFO, "event=order.cancelled", {"order_ref": reference})


def record_settled(sale: Sale, payment: Payment) -> None:
    """Record a settled payment. Call it after the commit."""
    completed = payment.status == Payment.Status.COMPLETED
    PAYMENTS.inc(outcome="completed" if completed else "failed")
    record_metric(
        "payment_success_rate",
        100 if completed else 0,
        {"order_ref": sale.reference, "reason": payment.failure_reason},
    )
    log_event(
        logger,
        logging.INFO,
        "event=payment.settled",
        {
            "order_ref": sale.reference,
            "payment_key": payment.key,
            "status": payment.status,
            "reason": payment.failure_reason,
        },
    )


def record_refused(outcome: str, product_id: int | None = None) -> None:
    """Record a checkout that was refused before an order was created."""
    ORDERS.inc(outcome=outcome)
    if outcome == "sold_out":
        SOLD_OUT.inc()
    log_event(
        logger,
        logging.INFO,
        "event=checkout.refused",
        {"outcome": outcome, "product_id": product_id},
    )


def record_stock_conflict(quantities: dict[int, int]) -> None:
    """Record a checkout refused by a database constraint."""
    STOCK_CONFLICTS.inc()
    record_metric("stock_conflicts", 1, {"product_ids": sorted(quantities)})
    logger.error("event=stock.conflict", extra={"product_ids": sorted(quantities)})


def record_checkout(seconds: float, kind: str, outcome: str) -> None:
    """Record a checkout with the whole time of its request, or `seconds` if there is no request."""

    def observe(whole: float, request_id: str) -> None:
        CHECKOUT_DURATION.observe(whole, request_id, kind=kind, outcome=outcome)

    at_answer(observe, seconds)


def read_unknown() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the number of payments without an outcome, and the age of the oldest."""
    now = timezone.now()
    with bounded_read():
        rows = measures.open_payments(now)
    return {
        PAYMENTS_UNKNOWN: {(): measures.payments_unknown(rows)},
        PAYMENTS_UNKNOWN_OLDEST: {(): measures.payments_unknown_oldest_seconds(rows, now)},
    }
