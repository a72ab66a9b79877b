"""Alertmanager's webhook notification, version 4 of its JSON: read strictly, stored as it comes.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from oncall.models import FINGERPRINT_LENGTH, Alert

VERSION = "4"
STATUSES = ("firing", "resolved")
NO_TIME = datetime.min.replace(tzinfo=UTC)  # how Go writes a time that is not known


class NotUnderstoodError(Exception):
    """The body is no notification; the text says why, for who configures the sender."""


@dataclass(frozen=True)
class AlertNotification:
    """What a notification says of one alert; `ends_at` is None while it fires."""

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str
    starts_at: datetime
    ends_at: datetime | None

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.labels["alertname"]

    @property
    def status(self) -> Alert.Status:
        """Whether it fires."""
        return Alert.Status.RESOLVED if self.ends_at else Alert.Status.FIRING

    @property
    def origin(self) -> str:
        """Who evaluates the rule: the label says it of those that are not Prometheus's."""
        origin = self.labels.get("origin", "")
        return origin if origin in Alert.Origin.values else Alert.Origin.PROMETHEUS


def _text(facts: dict[str, Any], name: str, where: str) -> str:
    value = facts.get(name)
    if not isinstance(value, str):
        raise NotUnderstoodError(f"{where}.{name} must be a text.")
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL has none


def _texts(facts: dict[str, Any], name: str, where: str) -> dict[str, str]:
    value = facts.get(name)
    if value is None:  # how Go writes an empty one
        return {}
    if not isinstance(value, dict):
        raise NotUnderstoodError(f"{where}.{name} must be an object of texts.")
    inside = f"{where}.{name}"
    return {_text({"name": key}, "name", inside): _text(value, key, inside) for key in value}


def _time(facts: dict[str, Any], name: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(_text(facts, name, where))
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise NotUnderstoodError(f"{where}.{name} must be a time with its offset, as of RFC 3339.")


def _alert(facts: object, where: str) -> AlertNotification:
    if not isinstance(facts, dict):
        raise NotUnderstoodError(f"{where} must be an object.")
    status = _text(facts, "status", where)
    if status not in STATUSES:
        raise NotUnderstoodError(f"{where}.status must be firing or resolved.")
    fingerprint = _text(facts, "fingerprint", where)
    if not 0 < len(fingerprint) <= FINGERPRINT_LENGTH:
        raise NotUnderstoodError(
            f"{where}.fingerprint must have 1 to {FINGERPRINT_LENGTH} characters."
        )
    labels = _texts(facts, "labels", where)
    if not labels.get("alertname"):
        raise NotUnderstoodError(f"{where}.labels.alertname must name the alert.")
    starts_at = _time(facts, "startsAt", where)
    ends_at = None
    if status == Alert.Status.RESOLVED:
        ends_at = _time(facts, "endsAt", where)
        if ends_at < starts_at or ends_at == NO_TIME:
            raise NotUnderstoodError(f"{where}.endsAt must not be before startsAt.")
    return AlertNotification(
        fingerprint=fingerprint,
        labels=labels,
        annotations=_texts(facts, "annotations", where),
        generator_url=_text(facts, "generatorURL", where) if "generatorURL" in facts else "",
        starts_at=starts_at,
        ends_at=ends_at,
    )


def read(body: bytes) -> list[AlertNotification]:
    """Return what a notification says. Raises NotUnderstoodError."""
    try:
        facts = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotUnderstoodError("The body must be JSON.") from error
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        raise NotUnderstoodError(
            f'The body must be an Alertmanager notification of version "{VERSION}".'
        )
    alerts = facts.get("alerts")
    if not isinstance(alerts, list):
        raise NotUnderstoodError("alerts must be a list.")
    return [_alert(alert, f"alerts[{number}]") for number, alert in enumerate(alerts)]
