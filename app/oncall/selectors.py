"""What the page of alerts shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db.models import Case, Value, When

from oncall import runbooks
from oncall.models import Alert, AlertFeed
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from datetime import datetime

# How often Alertmanager says again what still fires (repeat_interval in alerts/alertmanager.yml),
# and how long it may take until it does (group_interval, half an hour at most).
SAID_AGAIN = {"critical": timedelta(hours=1), "ticket": timedelta(days=1)}
SAID_AGAIN_ELSE = timedelta(hours=4)
SAID_LATE = timedelta(minutes=35)
HEARTBEAT_WITHIN = timedelta(seconds=THRESHOLDS.watchdog.late_after_seconds)
RECENT = timedelta(days=7)
FIRING_SHOWN, RESOLVED_SHOWN = 200, 50
# The worst first; what is not named here comes last.
SEVERITIES = ("critical", "page", "warning", "ticket", "info")
COLOURS = {"critical": "bad", "page": "bad", "warning": "warn", "ticket": "warn"}
LINKS = (("Dashboard", "dashboard_url"), ("Logs", "logs_url"))


@dataclass(frozen=True)
class ShownAlert:
    """An alert as the page tells it."""

    alert: Alert
    now: datetime
    has_runbook: bool

    @property
    def colour(self) -> str:
        """`bad`, `warn` or `calm`; the severity stands beside it as a word."""
        return COLOURS.get(self.alert.severity, "calm")

    @property
    def summary(self) -> str:
        """One sentence, written with the rule."""
        return str(self.alert.annotations.get("summary", ""))

    @property
    def description(self) -> str:
        """The first steps, written with the rule."""
        return str(self.alert.annotations.get("description", ""))

    @property
    def duration(self) -> timedelta:
        """How long it fired, or fires."""
        resolved = self.alert.status == Alert.Status.RESOLVED and self.alert.ends_at
        return (resolved or self.now) - self.alert.starts_at

    @property
    def silent(self) -> bool:
        """Whether nobody has said for too long that it still fires."""
        every = SAID_AGAIN.get(self.alert.severity, SAID_AGAIN_ELSE)
        return self.now - self.alert.updated_at > every + SAID_LATE

    @property
    def runbook_elsewhere(self) -> str:
        """The runbook's address, where this shop does not hold the page itself."""
        return "" if self.has_runbook else _address(self.alert, "runbook_url")

    @property
    def links(self) -> list[tuple[str, str]]:
        """Where else to look."""
        found = [(label, _address(self.alert, name)) for label, name in LINKS]
        return [(label, address) for label, address in found if address]


def _address(alert: Alert, name: str) -> str:
    """Return an address among the annotations if a page may link to it."""
    address = str(alert.annotations.get(name, ""))
    return address if address.startswith(("http://", "https://")) else ""


class Heartbeat(NamedTuple):
    """When Alertmanager's Watchdog alert last arrived, and whether that is too long ago."""

    at: datetime | None
    late: bool


def heartbeat(now: datetime, feed: AlertFeed | None = None) -> Heartbeat:
    """Return the last heartbeat."""
    feed = feed or AlertFeed.objects.filter(pk=1).first()
    at = feed.heartbeat_at if feed else None
    return Heartbeat(at, at is not None and now - at > HEARTBEAT_WITHIN)


def receivers() -> list[str]:
    """Return the channels by which alerts reach people."""
    return [name for name, known in settings.ALERT_RECEIVERS.items() if known]


@dataclass(frozen=True)
class AlertsNow:
    """Everything on the page of alerts."""

    now: datetime
    firing: list[ShownAlert]
    firing_more: bool
    resolved: list[ShownAlert]
    heard_at: datetime | None
    heartbeat: Heartbeat
    receivers: list[str]

    @property
    def blind(self) -> bool:
        """Whether alerts may not reach this page at the moment."""
        return self.heartbeat.at is None or self.heartbeat.late

    @property
    def state(self) -> str:
        """`bad` while the worst fires, `warn` if less does or nobody would tell, else `good`."""
        if any(shown.colour == "bad" for shown in self.firing):
            return "bad"
        return "warn" if self.firing or self.blind else "good"

    @property
    def severities(self) -> str:
        """How many fire of each severity, the worst first."""
        counted = Counter(shown.alert.severity or "no severity" for shown in self.firing)
        return ", ".join(f"{count} {severity}" for severity, count in counted.items())


def alerts_now(*, now: datetime) -> AlertsNow:
    """Return what fires, the worst first, what ended lately, and whether the watch is there."""
    feed = AlertFeed.objects.filter(pk=1).first() or AlertFeed()
    held = set(runbooks.names())
    worst = Case(
        *(When(severity=name, then=Value(place)) for place, name in enumerate(SEVERITIES)),
        default=Value(len(SEVERITIES)),
    )
    firing = Alert.objects.filter(status=Alert.Status.FIRING).order_by(worst, "-starts_at", "name")
    ended = Alert.objects.filter(status=Alert.Status.RESOLVED, ends_at__gte=now - RECENT)
    found = [ShownAlert(one, now, one.name in held) for one in firing[: FIRING_SHOWN + 1]]
    return AlertsNow(
        now=now,
        firing=found[:FIRING_SHOWN],
        firing_more=len(found) > FIRING_SHOWN,
        resolved=[
            ShownAlert(one, now, one.name in held)
            for one in ended.order_by("-ends_at")[:RESOLVED_SHOWN]
        ],
        heard_at=feed.heard_at,
        heartbeat=heartbeat(now, feed),
        receivers=receivers(),
    )
