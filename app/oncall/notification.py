"""Parse Alertmanager's webhook notification (version 4 of its JSON), alert by alert.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from oncall.models import FINGERPRINT_LENGTH, MOST_COUNTED, Alert

VERSION = "4"
STATUSES = ("firing", "resolved")
UNNAMED = "(no name)"  # Prometheus requires an alertname, Alertmanager's own API does not
ZERO_TIME = datetime.min.replace(tzinfo=UTC)  # Go's zero value, sent for an unknown time


class InvalidNotificationError(Exception):
    """The body is not a valid notification; the text explains why to the sender's operator."""


@dataclass(frozen=True)
class AlertNotification:
    """One alert of a notification; `ends_at` is None while it fires."""

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str
    starts_at: datetime
    ends_at: datetime | None

    @property
    def name(self) -> str:
        """The name of the rule, if it has one."""
        return self.labels.get("alertname") or UNNAMED

    @property
    def status(self) -> Alert.Status:
        """Firing or resolved."""
        return Alert.Status.RESOLVED if self.ends_at else Alert.Status.FIRING

    @property
    def origin(self) -> str:
        """The system that evaluates the rule: Prometheus, unless the `origin` label differs."""
        origin = self.labels.get("origin", "")
        return origin if origin in Alert.Origin.values else Alert.Origin.PROMETHEUS


@dataclass(frozen=True)
class Notification:
    """The readable alerts of a notification, why others are not, and how many were left out."""

    alerts: list[AlertNotification]
    unreadable: list[str]
    cut: int


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidNotificationError(f"{path} must be a string.")
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL cannot store NUL


def _string(fields: dict[str, Any], name: str, path: str) -> str:
    return _text(fields.get(name), f"{path}.{name}")


def _strings(fields: dict[str, Any], name: str, path: str) -> dict[str, str]:
    value = fields.get(name)
    if value is None:  # Go's encoding of an empty map
        return {}
    if not isinstance(value, dict):
        raise InvalidNotificationError(f"{path}.{name} must be an object of strings.")
    return {
        (key := _text(given, name)): _text(item, f"{path}.{name}.{key}")
        for given, item in value.items()
    }


def _time(fields: dict[str, Any], name: str, path: str) -> datetime:
    try:
        time = datetime.fromisoformat(_string(fields, name, path))
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidNotificationError(f"{path}.{name} must be an RFC 3339 time with an offset.")


def _alert(fields: object, path: str) -> AlertNotification:
    if not isinstance(fields, dict):
        raise InvalidNotificationError(f"{path} must be an object.")
    status = _string(fields, "status", path)
    if status not in STATUSES:
        raise InvalidNotificationError(f"{path}.status must be firing or resolved.")
    fingerprint = _string(fields, "fingerprint", path)
    if not 0 < len(fingerprint) <= FINGERPRINT_LENGTH:
        raise InvalidNotificationError(
            f"{path}.fingerprint must have 1 to {FINGERPRINT_LENGTH} characters."
        )
    starts_at = _time(fields, "startsAt", path)
    ends_at = None
    if status == Alert.Status.RESOLVED:
        ends_at = _time(fields, "endsAt", path)
        if ends_at < starts_at or ends_at == ZERO_TIME:
            raise InvalidNotificationError(f"{path}.endsAt must not be before startsAt.")
    return AlertNotification(
        fingerprint=fingerprint,
        labels=_strings(fields, "labels", path),
        annotations=_strings(fields, "annotations", path),
        generator_url=_string(fields, "generatorURL", path) if "generatorURL" in fields else "",
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _cut(fields: dict[str, Any]) -> int:
    """Return how many alerts Alertmanager left out (max_alerts, max_alerts_bytes)."""
    cut = fields.get("truncatedAlerts")
    return min(cut, MOST_COUNTED) if type(cut) is int and cut > 0 else 0


def read(body: bytes) -> Notification:
    """Return the alerts of a notification. Raises InvalidNotificationError if it is none."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidNotificationError("The body must be JSON.") from error
    if not isinstance(fields, dict) or fields.get("version") != VERSION:
        raise InvalidNotificationError(
            f'The body must be an Alertmanager notification of version "{VERSION}".'
        )
    rows = fields.get("alerts")
    if not isinstance(rows, list):
        raise InvalidNotificationError("alerts must be a list.")
    alerts, unreadable = [], []
    for index, row in enumerate(rows):
        try:
            alerts.append(_alert(row, f"alerts[{index}]"))
        except InvalidNotificationError as error:
            unreadable.append(str(error))
    return Notification(alerts, unreadable, _cut(fields))
