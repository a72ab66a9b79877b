"""Notifications as Alertmanager sends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from oncall import notification
from oncall.models import Alert
from oncall.services import alerts_receive

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRING, RESOLVED = "firing", "resolved"


def at(minutes: float) -> datetime:
    """Return so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def _as_go(moment: datetime) -> str:
    """Write a time as Go does: nanoseconds, and Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}789Z"


def alert(
    name: str = "RetailOversold",
    start: float = 0,
    end: float | None = None,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    fingerprint: str = "",
) -> dict[str, Any]:
    """Return an alert of a notification, from and to so many minutes after noon."""
    return {
        "status": FIRING if end is None else RESOLVED,
        "labels": {
            "alertname": name,
            "severity": "critical",
            "service": "shop",
            **(labels or {}),
        },
        "annotations": {"summary": f"{name}, in a sentence", **(annotations or {})},
        "startsAt": _as_go(at(start)),
        "endsAt": "0001-01-01T00:00:00Z" if end is None else _as_go(at(end)),
        "generatorURL": "http://prometheus:9090/graph?g0.expr=retail_oversold_units",
        "fingerprint": fingerprint or f"{name.encode().hex():0<16}"[-16:],
    }


def told(*alerts: dict[str, Any]) -> dict[str, Any]:
    """Return a notification, with everything that Alertmanager puts into one."""
    return {
        "receiver": "shop",
        "status": FIRING,
        "notification_reason": "first notification",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "RetailOversold"},
        "commonLabels": {},
        "commonAnnotations": {},
        "routeLabels": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="RetailOversold"}',
        "truncatedAlerts": 0,
    }


def hear(heard: float, *alerts: dict[str, Any]) -> None:
    """Receive a notification so many minutes after noon."""
    alerts_receive(told=[notification._alert(one, "alerts") for one in alerts], now=at(heard))


def minutes(moment: datetime | None) -> float | None:
    """Return how long after noon a moment is; Alertmanager's nanoseconds are cut."""
    return None if moment is None else (moment - NOON).total_seconds() / 60


def episodes() -> list[tuple[str, float | None, float | None, float | None]]:
    """Return the kept alerts, by their start: status, start, end, when last heard of."""
    return [
        (one.status, minutes(one.starts_at), minutes(one.ends_at), minutes(one.updated_at))
        for one in Alert.objects.order_by("starts_at")
    ]
