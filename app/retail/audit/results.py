"""Audit results as Prometheus gauges."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Sum
from django.utils import timezone

from retail.audit.declare import OVERSOLD, declared
from retail.db.reads import bounded_read
from retail.models import AuditCheck, AuditViolation
from retail.observability.prometheus import catalogue
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from retail.observability.prometheus.instruments import DatabaseGauge

STALE_AFTER = timedelta(seconds=THRESHOLDS.invariants.stale_after_seconds)


def read_audit() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return the open violations by invariant, and the oversold units.

    An invariant that was not checked within STALE_AFTER is left out: its state is unknown.
    """
    with bounded_read():
        fresh = AuditCheck.objects.filter(checked_at__gt=timezone.now() - STALE_AFTER)
        checked = set(fresh.values_list("invariant", flat=True)) & set(declared)
        rows = AuditViolation.objects.filter(resolved_at__isnull=True)
        counted = {
            row["invariant"]: row
            for row in rows.values("invariant")
            .order_by()
            .annotate(violations=Count("pk"), amounts=Sum("amount"))
        }
    none = {"violations": 0, "amounts": 0}
    violations: dict[tuple[str, ...], float] = {
        (name,): counted.get(name, none)["violations"] for name in sorted(checked)
    }
    oversold: dict[tuple[str, ...], float] = {}
    if OVERSOLD in checked:
        oversold[()] = counted.get(OVERSOLD, none)["amounts"]
    return {catalogue.OVERSOLD_UNITS: oversold, catalogue.INVARIANT_VIOLATIONS: violations}
