"""Read the alerts that the alerts page and the dashboard show."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.db.models import Case, Value, When

from oncall import runbooks
from oncall.models import Alert, AlertFeed, LostAlerts
from retail.health import Harm, problems
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from django.db.models import QuerySet

    from retail.health import Check

# How often Alertmanager repeats a firing alert (repeat_interval in alerts/alertmanager.yml), by
# severity, and how late a repetition may be (group_interval, half an hour at most).
REPEAT_EVERY = {"critical": timedelta(hours=1), "ticket": timedelta(days=1)}
REPEAT_EVERY_OTHER = timedelta(hours=4)
REPEAT_LATE = timedelta(minutes=35)
HEARTBEAT_MAX_AGE = timedelta(seconds=THRESHOLDS.watchdog.late_after_seconds)
RECENT = timedelta(days=7)
FIRING_SHOWN, RESOLVED_SHOWN = 200, 50
# The most severe first; unknown severities come last.
SEVERITIES = ("critical", "page", "warning", "ticket", "info")
COLOURS = {"critical": "bad", "page": "bad", "warning": "warn", "ticket": "warn"}
TOLD = {"alertname", "severity", "service", "origin"}  # labels that have a place of their own
# Until then, Alertmanager has repeated every alert that still fires.
LOST_SHOWN_FOR = max(REPEAT_EVERY.values()) + REPEAT_LATE
LOST_SHOWN = 10
LINKS = (("Dashboard", "dashboard_url"), ("Logs", "logs_url"))


_FIRST_STEP = re.compile(r"^1\. (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class ShownAlert:
    """An alert as the page shows it."""

    alert: Alert
    now: datetime
    has_runbook: bool

    @property
    def colour(self) -> str:
        """`bad`, `warn` or `calm`, from the severity."""
        return COLOURS.get(self.alert.severity, "calm")

    @property
    def summary(self) -> str:
        """The rule's summary: one sentence."""
        return str(self.alert.annotations.get("summary", ""))

    @property
    def description(self) -> str:
        """The rule's description: the first steps."""
        return str(self.alert.annotations.get("description", ""))

    @property
    def distinct(self) -> str:
        """The labels that tell it from other alerts of the same rule."""
        labels = sorted(self.alert.labels.items())
        return ", ".join(f"{name}={value}" for name, value in labels if name not in TOLD)

    @property
    def next_step(self) -> str:
        """The first of the rule's steps."""
        found = _FIRST_STEP.search(self.description)
        return found[1] if found else ""

    @property
    def duration(self) -> timedelta:
        """How long it fired, or has been firing."""
        resolved = self.alert.status == Alert.Status.RESOLVED and self.alert.ends_at
        return (resolved or self.now) - self.alert.starts_at

    @property
    def stale(self) -> bool:
        """Whether the next repetition is overdue."""
        every = REPEAT_EVERY.get(self.alert.severity, REPEAT_EVERY_OTHER)
        return self.now - self.alert.updated_at > every + REPEAT_LATE

    @property
    def runbook_elsewhere(self) -> str:
        """The runbook's address, if this shop has no page for it."""
        return "" if self.has_runbook else _address(self.alert, "runbook_url")

    @property
    def links(self) -> list[tuple[str, str]]:
        """Labels and addresses of the alert's dashboard and logs."""
        links = [(label, _address(self.alert, name)) for label, name in LINKS]
        return [(label, address) for label, address in links if address]


def _address(alert: Alert, name: str) -> str:
    """Return the address in an annotation, or "" if it is not safe to link to."""
    address = str(alert.annotations.get(name, ""))
    return address if address.startswith(("http://", "https://")) else ""


class Heartbeat(NamedTuple):
    """Time of the last Watchdog notification, and whether the next one is late."""

    at: datetime | None
    late: bool


def heartbeat(now: datetime, feed: AlertFeed | None = None) -> Heartbeat:
    """Return the last heartbeat."""
    feed = feed or AlertFeed.objects.filter(pk=1).first()
    at = feed.heartbeat_at if feed else None
    return Heartbeat(at, at is not None and now - at > HEARTBEAT_MAX_AGE)


def lost_since(now: datetime) -> QuerySet[LostAlerts]:
    """Return the alerts lost lately, the newest first: they may still be firing."""
    return LostAlerts.objects.filter(at__gte=now - LOST_SHOWN_FOR).order_by("-at", "-pk")


def receivers() -> list[str]:
    """Return the channels by which alerts reach people."""
    return [name for name, configured in settings.ALERT_RECEIVERS.items() if configured]


@dataclass(frozen=True)
class AlertsNow:
    """The content of the alerts page."""

    now: datetime
    firing: list[ShownAlert]
    firing_more: bool
    resolved: list[ShownAlert]
    heard_at: datetime | None
    heartbeat: Heartbeat
    receivers: list[str]
    lost: list[LostAlerts]
    with_runbook: set[str]
    checks: Sequence[Check] = ()

    @property
    def lost_shown(self) -> list[LostAlerts]:
        """The latest losses."""
        return self.lost[:LOST_SHOWN]

    @property
    def lost_more(self) -> bool:
        """Whether there are more losses than shown."""
        return len(self.lost) > LOST_SHOWN

    @property
    def unconfirmed(self) -> list[ShownAlert]:
        """Alerts that ended when the heartbeat did: nobody knows whether they really ended."""
        beat = self.heartbeat
        if beat.at is None or not beat.late:
            return []
        return [shown for shown in self.resolved if (shown.alert.ends_at or beat.at) >= beat.at]

    @property
    def ended(self) -> list[ShownAlert]:
        """Alerts that ended while the heartbeat went on."""
        unconfirmed = self.unconfirmed
        return [shown for shown in self.resolved if shown not in unconfirmed]

    @property
    def found(self) -> list[Check]:
        """What the shop itself finds wrong, the worst first. Monitoring has its own part."""
        return [check for check in problems(self.checks) if check.harm != Harm.MONITORING]

    @property
    def found_bad(self) -> int:
        """The number of problems found by the shop itself that need attention now."""
        return sum(check.finding.state == "bad" for check in self.found)

    @property
    def disconnected(self) -> bool:
        """Whether alerts may currently not reach this page."""
        return self.heartbeat.at is None or self.heartbeat.late

    @property
    def state(self) -> str:
        """`bad` if a severe alert fires or the shop finds a severe problem, `good` if all is well.

        Else `warn`: something milder, or alerts may be missing.
        """
        if self.found_bad or any(shown.colour == "bad" for shown in self.firing):
            return "bad"
        doubt = self.disconnected or self.lost or self.found
        return "warn" if self.firing or doubt else "good"

    @property
    def severities(self) -> str:
        """The number of firing alerts by severity, the most severe first."""
        counted = Counter(shown.alert.severity or "no severity" for shown in self.firing)
        return ", ".join(f"{count} {severity}" for severity, count in counted.items())


def alerts_now(*, now: datetime, checks: Sequence[Check] = ()) -> AlertsNow:
    """Return firing alerts (most severe first), resolved ones, and the state of monitoring.

    `checks` are the shop's own, for the page that shows them too.
    """
    feed = AlertFeed.objects.filter(pk=1).first() or AlertFeed()
    with_runbook = set(runbooks.names())
    rank = Case(
        *(When(severity=name, then=Value(index)) for index, name in enumerate(SEVERITIES)),
        default=Value(len(SEVERITIES)),
    )
    firing = Alert.objects.filter(status=Alert.Status.FIRING).order_by(rank, "-starts_at", "name")
    ended = Alert.objects.filter(status=Alert.Status.RESOLVED, ends_at__gte=now - RECENT)
    shown = [
        ShownAlert(alert, now, alert.name in with_runbook) for alert in firing[: FIRING_SHOWN + 1]
    ]
    return AlertsNow(
        now=now,
        firing=shown[:FIRING_SHOWN],
        firing_more=len(shown) > FIRING_SHOWN,
        resolved=[
            ShownAlert(alert, now, alert.name in with_runbook)
            for alert in ended.order_by("-ends_at")[:RESOLVED_SHOWN]
        ],
        heard_at=feed.heard_at,
        heartbeat=heartbeat(now, feed),
        receivers=receivers(),
        lost=list(lost_since(now)[: LOST_SHOWN + 1]),
        with_runbook=with_runbook,
        checks=checks,
    )
