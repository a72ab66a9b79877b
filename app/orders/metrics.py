"""What orders let be seen of themselves. An event has one call site, and it is here."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Min, Q
from django.utils import timezone

from orders.models import Payment, Sale
from retail.db.reads import bounded_read
from retail.observability import current_request_id, record_metric
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from retail.observability.prometheus.instruments import DatabaseGauge

logger = logging.getLogger("retail.orders")


def record_confirmed(sale: Sale) -> None:
    """Note an order that was paid; call it when that is committed."""
    catalogue.ORDERS.inc(outcome="confirmed")
    catalogue.ORDER_REVENUE.inc(float(sale.total), currency=sale.currency)
    record_metric(
        "orders_per_day",
        1,
        {"order_ref": sale.reference, "kind": sale.kind, "request_id": current_request_id()},
    )


def record_ended(sale: Sale, outcome: str) -> None:
    """Note an order that ended otherwise; call it when that is committed."""
    catalogue.ORDERS.inc(outcome=outcome)
    logger.info("event=order.ended", extra={"order_ref": sale.reference, "outcome": outcome})


def record_settled(sale: Sale, payment: Payment) -> None:
    """Note a payment settled for good; call it when that is committed."""
    completed = payment.status == Payment.Status.COMPLETED
    catalogue.PAYMENTS.inc(outcome="completed" if completed else "failed")
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
    """Note a checkout that was refused before there was an order."""
    catalogue.ORDERS.inc(outcome=outcome)
    if outcome == "sold_out":
        catalogue.SOLD_OUT.inc()
    log_event(
        logger,
        logging.INFO,
        "event=checkout.refused",
        {"outcome": outcome, "product_id": product_id},
    )


def record_stock_conflict(quantities: dict[int, int]) -> None:
    """Note that the database's constraint had to stop a checkout: a bug upstream."""
    catalogue.STOCK_CONFLICTS.inc()
    record_metric("stock_conflicts", 1, {"product_ids": sorted(quantities)})
    logger.error("event=stock.conflict", extra={"product_ids": sorted(quantities)})


def record_checkout(seconds: float, kind: str, outcome: str) -> None:
    """Note how long a buyer waited for the answer."""
    catalogue.CHECKOUT_DURATION.observe(seconds, current_request_id(), kind=kind, outcome=outcome)


def read_unknown() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return how many payments have no answer though they should have, and the oldest's age."""
    overdue = timezone.now() - timedelta(seconds=settings.PAYMENT_RESEND_AFTER)
    with bounded_read():
        unknown = Payment.objects.filter(
            Q(status=Payment.Status.UNKNOWN)
            | Q(status=Payment.Status.PENDING, created_at__lt=overdue)
        ).aggregate(count=Count("pk"), oldest=Min("created_at"))
    age = (timezone.now() - unknown["oldest"]).total_seconds() if unknown["oldest"] else 0
    return {
        catalogue.PAYMENTS_UNKNOWN: {(): unknown["count"]},
        catalogue.PAYMENTS_UNKNOWN_OLDEST: {(): age},
    }
