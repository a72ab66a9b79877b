"""Health check of the circuit breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from payments.breaker import NAME as BREAKER
from payments.models import CircuitBreaker
from retail.health import Finding, health_check
from retail.templatetags.durations import ago, duration

if TYPE_CHECKING:
    from datetime import datetime

State = CircuitBreaker.State


@health_check("Circuit breaker")
def breaker(now: datetime) -> Finding:
    """Check that payments reach the gateway."""
    link = reverse("admin:payments_circuitbreaker_changelist")
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
    detail = "Payments reach the gateway."
    if state == State.OPEN:
        since = row.open_since or row.opened_at
        opened = f"Opened {ago(since, now)}" if since else "Open"
        detail = f"{opened}. Checkouts fail fast; carts are kept."
    if state == State.HALF_OPEN:
        detail = "One payment at a time probes the gateway."
    return Finding({State.CLOSED: "good", State.OPEN: "bad"}.get(state, "warn"), word, detail, link)
