"""Metrics and log events of payments. Each event is recorded by one function here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from payments.models import CircuitBreaker
from retail.db.reads import bounded_read
from retail.observability import record_metric
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus.catalogue import USUAL
from retail.observability.prometheus.instruments import Counter, DatabaseGauge, Histogram
from retail.observability.rows.intervals import BREAKER_STATES, BREAKER_VALUE
from retail.observability.rows.recorder import recorder
from retail.security.trail import record

if TYPE_CHECKING:
    from datetime import datetime

    from payments.refund_gateway import RefundRequest

logger = logging.getLogger("retail.payments")

CALL_OUTCOMES = ("approved", "declined", "error", "timeout")
REFUND_OUTCOMES = ("accepted", "refused", "error", "timeout")
BREAKERS = ("payments",)

PAYMENT_ATTEMPTS = Counter(
    "retail_payment_attempts_total",
    "Charge requests to the gateway, including those rejected by the circuit breaker.",
    {"outcome": (*CALL_OUTCOMES, "short_circuited")},
)
PAYMENT_DURATION = Histogram(
    "retail_payment_duration_seconds",
    "Duration of charge requests to the gateway.",
    {"outcome": CALL_OUTCOMES},
    buckets=USUAL,
)
REFUND_ATTEMPTS = Counter(
    "retail_refund_attempts_total",
    "Refund requests to the gateway, including those rejected by the circuit breaker. What became "
    "of an accepted refund is in retail_refunds_total.",
    {"outcome": (*REFUND_OUTCOMES, "short_circuited")},
)
REFUND_DURATION = Histogram(
    "retail_refund_duration_seconds",
    "Duration of refund requests to the gateway.",
    {"outcome": REFUND_OUTCOMES},
    buckets=USUAL,
)
BREAKER_STATE = DatabaseGauge(
    "retail_circuit_breaker_state",
    "1 for the circuit breaker's current state, 0 for the others.",
    {"breaker": BREAKERS, "state": BREAKER_STATES},
)
BREAKER_TRANSITIONS = Counter(
    "retail_circuit_breaker_transitions_total",
    "Transitions of the circuit breaker by new state. Opening again after a failed probe is not "
    "counted: one outage is one opening, and each half-open is a probe.",
    {"breaker": BREAKERS, "to": BREAKER_STATES},
)


def record_call(outcome: str, seconds: float, key: str, attempt: int) -> None:
    """Record a charge request to the gateway."""
    PAYMENT_ATTEMPTS.inc(outcome=outcome)
    PAYMENT_DURATION.observe(seconds, outcome=outcome)
    log_event(
        logger,
        logging.INFO if outcome in {"approved", "declined"} else logging.WARNING,
        "event=payment.attempt",
        {
            "outcome": outcome,
            "payment_key": key,
            "attempt": attempt,
            "duration_ms": round(seconds * 1000, 1),
        },
    )


def record_refund_call(
    request: RefundRequest, attempt: int, seconds: float, outcome: str, answer: str
) -> None:
    """Record a refund request to the gateway; its answer is a status, a refusal or none."""
    REFUND_ATTEMPTS.inc(outcome=outcome)
    REFUND_DURATION.observe(seconds, outcome=outcome)
    log_event(
        logger,
        logging.INFO if outcome == "accepted" else logging.WARNING,
        "event=refund.attempt",
        {
            "outcome": outcome,
            "answer": answer,
            "refund_key": request.key,
            "refund_ref": request.reference,
            "attempt": attempt,
            "duration_ms": round(seconds * 1000, 1),
        },
    )


def record_refund_short_circuited() -> None:
    """Record a refund request rejected by the open breaker."""
    REFUND_ATTEMPTS.inc(outcome="short_circuited")


def record_state_seen(breaker: str, state: str) -> None:
    """Record the breaker's state at a payment attempt."""
    recorder.intervals.add_breaker_state(breaker, state)


def record_short_circuited() -> None:
    """Record a payment attempt rejected by the open breaker."""
    PAYMENT_ATTEMPTS.inc(outcome="short_circuited")


def record_transition(breaker: str, old: str, to: str, failures: int) -> None:
    """Record a state transition. A failed probe belongs to the outage that began before it."""
    probe_failed = (old, to) == ("half_open", "open")
    if not probe_failed:
        BREAKER_TRANSITIONS.inc(breaker=breaker, to=to)
    record_metric(
        "circuit_breaker_state",
        BREAKER_VALUE[to],
        {"breaker": breaker, "state": to.upper(), "transition": not probe_failed},
    )
    logger.warning(
        "event=breaker.transition",
        extra={"breaker": breaker, "from": old, "to": to, "failures": failures},
    )


def record_forced(breaker: str, to: str, reason: str, until: datetime, user_id: int | None) -> None:
    """Record that an operator forced the breaker's state."""
    record("breaker_forced", user_id=user_id, subject=breaker, detail=to)
    logger.warning(
        "event=breaker.forced",
        extra={
            "breaker": breaker,
            "to": to,
            "reason": reason,
            "until": until.isoformat(timespec="seconds"),
            "user_id": user_id,
        },
    )


def record_unforced(breaker: str, to: str, user_id: int | None) -> None:
    """Record the end of a forced state; without `user_id`, it expired."""
    if user_id is not None:
        record("breaker_released", user_id=user_id, subject=breaker, detail=to)
    logger.warning(
        "event=breaker.released", extra={"breaker": breaker, "to": to, "user_id": user_id}
    )


def read_breakers() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the current state of each breaker. A breaker without a row is closed."""
    with bounded_read():
        states = {breaker.name: breaker.state_now for breaker in CircuitBreaker.objects.all()}
    return {
        BREAKER_STATE: {
            (name, state): float(states.get(name, "closed") == state)
            for name in BREAKERS
            for state in BREAKER_STATES
        }
    }
