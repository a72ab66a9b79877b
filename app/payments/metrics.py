"""What payments let be seen of themselves. An event has one call site, and it is here."""

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

if TYPE_CHECKING:
    from datetime import datetime

logger = logging.getLogger("retail.payments")

CALL_OUTCOMES = ("approved", "declined", "error", "timeout")
BREAKERS = ("payments",)

PAYMENT_ATTEMPTS = Counter(
    "retail_payment_attempts_total",
    "Calls that charge at the gateway, and those the circuit breaker held back.",
    {"outcome": (*CALL_OUTCOMES, "short_circuited")},
)
PAYMENT_DURATION = Histogram(
    "retail_payment_duration_seconds",
    "Time a charging call to the gateway took.",
    {"outcome": CALL_OUTCOMES},
    buckets=USUAL,
)
BREAKER_STATE = DatabaseGauge(
    "retail_circuit_breaker_state",
    "1 for the state the circuit breaker is in, 0 for the others.",
    {"breaker": BREAKERS, "state": BREAKER_STATES},
)
BREAKER_TRANSITIONS = Counter(
    "retail_circuit_breaker_transitions_total",
    "Changes of the circuit breaker's state, by the state it changed to.",
    {"breaker": BREAKERS, "to": BREAKER_STATES},
)


def record_call(outcome: str, seconds: float, key: str, attempt: int) -> None:
    """Note one charging call to the gateway."""
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


def record_state_seen(breaker: str, state: str) -> None:
    """Note the state that a payment found the breaker in."""
    recorder.intervals.add_breaker_state(breaker, state)


def record_short_circuited() -> None:
    """Note a payment that the open breaker held back."""
    PAYMENT_ATTEMPTS.inc(outcome="short_circuited")


def record_transition(breaker: str, to: str, failures: int) -> None:
    """Note a change of the breaker's state."""
    BREAKER_TRANSITIONS.inc(breaker=breaker, to=to)
    record_metric(
        "circuit_breaker_state",
        BREAKER_VALUE[to],
        {"breaker": breaker, "state": to.upper(), "transition": True},
    )
    logger.warning(
        "event=breaker.transition", extra={"breaker": breaker, "to": to, "failures": failures}
    )


def record_forced(breaker: str, to: str, reason: str, until: datetime, user_id: int | None) -> None:
    """Note that an operator forced the breaker."""
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
    """Note that the breaker is automatic again; without a `user_id` because its time was over."""
    logger.warning(
        "event=breaker.released", extra={"breaker": breaker, "to": to, "user_id": user_id}
    )


def read_breakers() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return what each breaker does with the next call; one never asked is closed."""
    with bounded_read():
        states = {one.name: one.state_now for one in CircuitBreaker.objects.all()}
    return {
        BREAKER_STATE: {
            (name, state): float(states.get(name, "closed") == state)
            for name in BREAKERS
            for state in BREAKER_STATES
        }
    }
