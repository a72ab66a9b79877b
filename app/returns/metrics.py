"""Metrics and log events of returns and refunds. Each event is recorded by one function here.

Call them after the commit.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.utils import timezone

from retail.db.reads import bounded_read
from retail.observability import record_metric
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus.instruments import Counter, DatabaseGauge, Histogram
from returns import measures
from returns.models import Refund, Return
from returns.unsettled import refunds_by_state, returns_by_status

logger = logging.getLogger("retail.returns")

STATES, STATUSES = measures.REFUND_STATES, measures.RETURN_STATES
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

REFUNDS = Counter(
    "retail_refunds_total",
    "Refunds by outcome. One that fails after it was paid out counts as succeeded and as failed.",
    {"outcome": ("requested", "succeeded", "failed", "cancelled", "needs_human")},
)
REFUND_AMOUNT = Counter(
    "retail_refund_amount_total",
    "Money paid out by refunds, in units of the currency. What fails later is not taken off.",
    {"currency": settings.CURRENCIES},
)
REFUND_SETTLED = Histogram(
    "retail_refund_settled_seconds",
    "Time from the request of a refund until it was paid out.",
    buckets=(
        *(1, 5, 15, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR, 6 * HOUR),
        *(DAY, 3 * DAY, 5 * DAY, 10 * DAY, 30 * DAY),
    ),
)
RETURNS = Counter(
    "retail_returns_total",
    "Returns by the status they reached.",
    {"status": tuple(Return.Status.values)},
)
REFUNDS_UNSETTLED = DatabaseGauge(
    "retail_refunds_unsettled",
    "Refunds that are not settled, by state. In state owed they failed, and nothing replaces them.",
    {"state": STATES},
)
REFUNDS_OLDEST = DatabaseGauge(
    "retail_refunds_unsettled_oldest_seconds",
    "Age of the oldest refund that is not settled, by state; 0 if there is none.",
    {"state": STATES},
)
REFUNDS_REOPENED = DatabaseGauge(
    "retail_refunds_reopened",
    "Refunds that are not settled after a failure: owed, waiting for a person, or tried again.",
)
RETURNS_WAITING = DatabaseGauge(
    "retail_returns_waiting",
    "Returns that wait: for approval, for the parcel, or for the refund.",
    {"status": STATUSES},
)
RETURNS_OLDEST = DatabaseGauge(
    "retail_returns_oldest_seconds",
    "Age of the oldest return that waits, by status; 0 if there is none.",
    {"status": STATUSES},
)


def _fields(refund: Refund) -> dict[str, object]:
    return {
        "refund_ref": refund.reference,
        "order_ref": refund.payment.sale.reference,
        "amount": str(refund.amount),
        "currency": refund.currency,
        "reason": refund.reason,
    }


def record_refund_requested(refund: Refund) -> None:
    """Record a new refund."""
    REFUNDS.inc(outcome="requested")
    fields = {**_fields(refund), "method": refund.method, "user_id": refund.requested_by_id}
    log_event(logger, logging.INFO, "event=refund.requested", fields)


def record_refund_settled(refund: Refund) -> None:
    """Record that a refund was paid out."""
    seconds = ((refund.settled_at or timezone.now()) - refund.created_at).total_seconds()
    REFUNDS.inc(outcome="succeeded")
    REFUND_AMOUNT.inc(float(refund.amount), currency=refund.currency)
    REFUND_SETTLED.observe(max(seconds, 0.0))
    fields = _fields(refund)
    record_metric("refunds_per_day", 1, fields)
    log_event(
        logger, logging.INFO, "event=refund.settled", {**fields, "seconds": round(seconds, 3)}
    )


def record_refund_ended(refund: Refund, was_paid: bool) -> None:
    """Record a refund that failed or was cancelled, perhaps after it had been paid out."""
    REFUNDS.inc(outcome="cancelled" if refund.status == Refund.Status.CANCELLED else "failed")
    fields = {
        **_fields(refund),
        "status": refund.status,
        "failure": refund.failure,
        "was_paid": was_paid,
    }
    log_event(logger, logging.WARNING, "event=refund.failed", fields)


def record_refund_needs_human(refund: Refund) -> None:
    """Record a refund whose outcome a person has to find out."""
    REFUNDS.inc(outcome="needs_human")
    fields = {**_fields(refund), "refund_key": refund.key, "attempts": refund.attempts}
    log_event(logger, logging.WARNING, "event=refund.needs_human", fields)


_EVENTS = {
    Return.Status.REQUESTED: "event=return.requested",
    Return.Status.APPROVED: "event=return.approved",
    Return.Status.REJECTED: "event=return.rejected",
    Return.Status.EXPIRED: "event=return.expired",
    Return.Status.RECEIVED: "event=return.received",
    Return.Status.CLOSED: "event=return.closed",
}


def record_return(of_return: Return) -> None:
    """Record the status that a return has reached."""
    RETURNS.inc(status=of_return.status)
    fields = {
        "return_ref": of_return.reference,
        "order_ref": of_return.sale.reference,
        "reason": of_return.reason,
    }
    log_event(logger, logging.INFO, _EVENTS[Return.Status(of_return.status)], fields)


def read_refunds() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the unsettled refunds and the waiting returns, and the age of the oldest."""
    now = timezone.now()
    with bounded_read():
        refunds, waiting = refunds_by_state(), returns_by_status()
    refunds_of = {name: [row for row in refunds if row.state == name] for name in STATES}
    returns_of = {name: [row for row in waiting if row.status == name] for name in STATUSES}
    return {
        REFUNDS_UNSETTLED: {
            (name,): measures.refunds_unsettled(rows) for name, rows in refunds_of.items()
        },
        REFUNDS_OLDEST: {
            (name,): measures.refunds_oldest_seconds(rows, now) for name, rows in refunds_of.items()
        },
        REFUNDS_REOPENED: {(): measures.refunds_reopened(refunds)},
        RETURNS_WAITING: {
            (name,): measures.returns_waiting(rows) for name, rows in returns_of.items()
        },
        RETURNS_OLDEST: {
            (name,): measures.returns_oldest_seconds(rows, now) for name, rows in returns_of.items()
        },
    }
