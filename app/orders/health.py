"""Health check of the payment gateway, from the breaker and the audit of the gateway's ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from payments.models import CircuitBreaker
from payments.services import BREAKER
from retail.health import Finding, health_check
from retail.models import AuditCheck
from retail.templatetags.durations import ago
from retail.thresholds import THRESHOLDS

LEDGER_MAX_AGE = timedelta(seconds=THRESHOLDS.gateway.silent_after_seconds)
LEDGER_INVARIANT = "charge_has_payment"  # its audit reads the gateway's ledger


@health_check("Gateway")
def gateway(now: datetime) -> Finding:
    """Check that the gateway responds."""
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    if row and row.state_now != CircuitBreaker.State.CLOSED and not row.is_forced:
        return Finding("bad", "not responding", "Too many calls failed, so the breaker is open.")
    audits = AuditCheck.objects.filter(invariant=LEDGER_INVARIANT)
    read_at = audits.values_list("checked_at", flat=True).first()
    if read_at is None:
        return Finding("calm", "not checked yet", "The worker reads its ledger every minute.")
    if now - read_at > LEDGER_MAX_AGE:
        detail = f"Ledger last read {ago(read_at, now)}. Is the worker running?"
        return Finding("warn", "not checked", detail)
    return Finding("good", "responding", f"Ledger read {ago(read_at, now)}.")
