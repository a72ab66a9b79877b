"""Notifications like those of Alertmanager."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from oncall import notification
from oncall.models import Alert
from oncall.services import alerts_receive

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRING, RESOLVED = "firing", "resolved"


def at(minutes: float) -> datetime:
    """Return the time so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def _as_go(moment: datetime) -> str:
    """Format a time like Go, with nanoseconds and Z."""
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
    """Return an alert that starts and ends so many minutes after noon."""
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


def notification_body(*alerts: dict[str, Any]) -> dict[str, Any]:
    """Return a notification, with all fields that Alertmanager sends."""
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


def receive(received: float, *alerts: dict[str, Any]) -> None:
    """Receive a notification so many minutes after noon."""
    parsed = [notification._alert(fields, "alerts") for fields in alerts]
    alerts_receive(received=parsed, now=at(received))


def minutes(moment: datetime | None) -> float | None:
    """Return how many minutes after noon a time is, without the nanoseconds of Alertmanager."""
    return None if moment is None else (moment - NOON).total_seconds() / 60


def episodes() -> list[tuple[str, float | None, float | None, float | None]]:
    """Return the stored alerts by start: status, start, end, last update."""
    return [
        (row.status, minutes(row.starts_at), minutes(row.ends_at), minutes(row.updated_at))
        for row in Alert.objects.order_by("starts_at")
    ]
