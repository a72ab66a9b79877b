"""Health check of the payment gateway, by the audit of its ledger."""

from __future__ import annotations

from datetime import datetime, timedelta

from payments.models import CircuitBreaker
from payments.services import BREAKER
from retail.health import Finding, health_check
from retail.models import AuditCheck
from retail.templatetags.durations import ago
from retail.thresholds import THRESHOLDS

SILENT_AFTER = timedelta(seconds=THRESHOLDS.gateway.silent_after_seconds)
FROM_LEDGER = "charge_has_payment"  # an invariant that asks the gateway


@health_check("Gateway")
def gateway(now: datetime) -> Finding:
    """Check whether the gateway answers."""
    row = CircuitBreaker.objects.filter(name=BREAKER).first()
    if row and row.state_now != CircuitBreaker.State.CLOSED and not row.is_forced:
        return Finding("bad", "not answering", "So many calls failed that the breaker opened.")
    audits = AuditCheck.objects.filter(invariant=FROM_LEDGER)
    read_at = audits.values_list("checked_at", flat=True).first()
    if read_at is None:
        return Finding("calm", "not asked yet", "The worker reads its ledger every minute.")
    if now - read_at > SILENT_AFTER:
        detail = f"Its ledger was last read {ago(read_at, now)}. Is the worker running?"
        return Finding("warn", "silent", detail)
    return Finding("good", "answers", f"Its ledger was read {ago(read_at, now)}.")
