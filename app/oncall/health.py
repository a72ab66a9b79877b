"""Health checks of monitoring: whether alerts reach the shop, and people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse

from oncall.selectors import heartbeat, receivers
from retail.health import Finding, health_check
from retail.templatetags.durations import ago

if TYPE_CHECKING:
    from datetime import datetime


@health_check("Monitoring")
def monitoring(now: datetime) -> Finding:
    """Check that Alertmanager's heartbeat arrives."""
    link = reverse("oncall:alerts")
    beat = heartbeat(now)
    if beat.at is None:
        return Finding("warn", "not connected", "No alert can reach this page.", link)
    detail = f"Heartbeat {ago(beat.at, now)}."
    if beat.late:
        return Finding("bad", "silent", f"{detail} Alerts may not reach this page.", link)
    return Finding("good", "connected", detail, link)


@health_check("Alert receivers")
def alert_receivers(_now: datetime) -> Finding:
    """Check that alerts reach a person."""
    link = reverse("oncall:alerts")
    names = receivers()
    if not names:
        return Finding("warn", "none", "No human receiver: alerts reach this shop alone.", link)
    return Finding("good", "configured", f"By {', '.join(names)}.", link)
