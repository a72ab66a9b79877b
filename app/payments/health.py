"""Health check of the circuit breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from payments.breaker import NAME as BREAKER
from payments.models import CircuitBreaker
from payments.provider import known_simulator
from retail.health import Finding, Harm, counted, health_check, readiness_check
from retail.history.refused import refused_since
from retail.templatetags.durations import ago, duration

if TYPE_CHECKING:
    from datetime import datetime

State = CircuitBreaker.State


@health_check("Circuit breaker", Harm.NO_SALES)
def breaker(now: datetime) -> Finding:
    """Check that payments reach the gateway."""
    link = reverse("admin:payments_circuitbreaker_changelist")
    if known_simulator():
        return Finding(
            "bad",
            "refused",
            "The gateway is a simulator, so nothing is sold.",
            link,
            step="Set GATEWAY_URL to your payment provider's, or DEMO=True for a demo.",
        )
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    if row is None:
        return Finding("calm", "closed", "No payments so far.", link)
    state = row.state_now
    word = State(state).label.lower()
    if row.is_forced and row.forced_until:
        detail = (
            f"Forced by staff for another {duration(row.forced_until - now)}: {row.forced_reason}"
        )
        return Finding("warn", f"{word}, forced", detail, link)
    if state == State.CLOSED:
        return Finding("good", word, "Payments reach the gateway.", link)
    if state == State.HALF_OPEN and not row.failures:  # after a force: the gateway has not failed
        return Finding("warn", word, "One payment at a time probes the gateway.", link)
    return _outage(row, word, link, now)


@readiness_check("payments")
def accepts_payments() -> str:
    """Return "ok" unless checkouts are refused: by the breaker, or because of a simulator."""
    if known_simulator():
        return "refused: the gateway is a simulator; set GATEWAY_URL, or DEMO=True for a demo"
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    return "refused: the circuit breaker is open" if row and row.state_now == State.OPEN else "ok"


def _outage(row: CircuitBreaker, word: str, link: str, now: datetime) -> Finding:
    """Return the finding of an outage, which failed probes do not interrupt."""
    since = row.open_since or row.opened_at or now
    return Finding(
        "bad",
        word,
        f"Opened {ago(since, now)}. Checkouts fail fast; carts are kept.",
        link,
        since=since,
        affected=_refused(since),
        step="Check the payment gateway: its status page, or the simulator's page on port 8001.",
        runbook="RetailCircuitBreakerOpen",
    )


def _refused(since: datetime) -> str:
    """Return how many buyers the breaker refused."""
    refused = refused_since(since)
    least = "at least " if refused.more else ""
    buyers, checkouts = counted(refused.buyers, "buyer"), counted(refused.checkouts, "checkout")
    return f"{least}{buyers} refused, in {checkouts}"
