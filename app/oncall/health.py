"""Health checks of monitoring: whether alerts reach the shop and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from oncall.selectors import heartbeat, lost_since, receivers
from retail.health import Finding, Harm, health_check
from retail.templatetags.durations import ago

if TYPE_CHECKING:
    from datetime import datetime


@health_check("Monitoring", Harm.MONITORING)
def monitoring(now: datetime) -> Finding:
    """Check that Alertmanager's heartbeat arrives."""
    link = reverse("oncall:alerts")
    beat = heartbeat(now)
    if beat.at is None:
        return Finding("warn", "not connected", "No alerts can reach the shop.", link)
    detail = f"Last heartbeat {ago(beat.at, now)}."
    if beat.late:
        return Finding(
            "bad",
            "no heartbeat",
            f"{detail} Alerts may not reach the shop.",
            link,
            since=beat.at,
            step="Check that Prometheus and Alertmanager are running.",
            runbook="Watchdog",
        )
    if lost_since(now).exists():
        return Finding("warn", "alerts lost", f"{detail} Some alerts could not be stored.", link)
    return Finding("good", "connected", detail, link)


@health_check("Alert receivers", Harm.MONITORING)
def alert_receivers(_now: datetime) -> Finding:
    """Check that alerts reach a person."""
    link = reverse("oncall:alerts")
    names = receivers()
    if not names:
        return Finding("warn", "none", "No one is notified; alerts are only shown here.", link)
    return Finding("good", "configured", f"Alerts are sent by: {', '.join(names)}.", link)
