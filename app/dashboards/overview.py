"""The dashboard's content for a range: numbers, cards, checks, alerts and errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dashboards.cards import Card, cards
from dashboards.charts import CHARTS, Chart, drawable, rows
from dashboards.errors import ServerError, recent_errors
from dashboards.numbers import Numbers, read_numbers
from oncall import runbooks, selectors
from retail.health import Check, health, problems
from retail.history.read import LIVE, time_range
from retail.history.rollups import DAY, HOUR, MINUTE
from retail.templatetags.durations import ago
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

RANGES = {
    "1h": "hour",
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
}
DEFAULT_RANGE = "24h"
ROLLUP_LATE = timedelta(seconds=THRESHOLDS.rollups.late_after_seconds)
UNKNOWN_AGE = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
FIRING_SHOWN = 5
EACH = {MINUTE: "minute", HOUR: "hour", DAY: "day"}


@dataclass(frozen=True)
class Slice:
    """The payments with one outcome."""

    name: str
    count: int
    share: float | None  # in percent; None without any payments
    state: str


@dataclass(frozen=True)
class Incident:
    """The first minute of an outage: what, since when, who is affected, the one next step."""

    what: str
    detail: str
    since: datetime | None
    affected: str
    step: str
    runbook: str

    @classmethod
    def of_check(cls, check: Check) -> Incident:
        """Return the incident that a health check found."""
        found = check.finding
        what = f"{check.name}: {found.word}"
        runbook = found.runbook if found.runbook in runbooks.names() else ""
        return cls(what, found.detail, found.since, found.affected, found.step, runbook)

    @classmethod
    def of_alert(cls, shown: selectors.ShownAlert) -> Incident:
        """Return the incident of a firing alert."""
        alert = shown.alert
        detail = f"{alert.name} fires" + (f" for {shown.distinct}." if shown.distinct else ".")
        runbook = alert.name if shown.has_runbook else ""
        step = shown.next_step or "Read what the alerts page says about it."
        return cls(shown.summary or alert.name, detail, alert.starts_at, "", step, runbook)


@dataclass(frozen=True)
class Overview:
    """The content of the dashboard."""

    name: str
    numbers: Numbers
    cards: list[Card]
    checks: list[Check]
    alerts: selectors.AlertsNow
    errors: list[ServerError]

    @property
    def span(self) -> str:
        """The range in words."""
        return RANGES[self.name]

    @property
    def each(self) -> str:
        """The length of a chart's step, in words."""
        return EACH[self.numbers.span.step]

    @property
    def firing(self) -> list[selectors.ShownAlert]:
        """The most severe firing alerts."""
        return self.alerts.firing[:FIRING_SHOWN]

    @property
    def incident(self) -> Incident | None:
        """What comes first: the worst of the shop's own findings, else of the firing alerts."""
        found = problems(self.checks)
        if found and found[0].finding.state == "bad":
            return Incident.of_check(found[0])
        firing = self.alerts.firing
        return Incident.of_alert(firing[0]) if firing and firing[0].colour == "bad" else None

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        """Everything that is wrong, the worst first: state, name, word."""
        states = [
            *((card.status.state, card.title, card.status.word) for card in self.cards),
            *(
                (check.finding.state, check.name, check.finding.word)
                for check in problems(self.checks)
            ),
            *((shown.colour, shown.alert.name, "alert firing") for shown in self.alerts.firing),
        ]
        return [row for state in ("bad", "warn") for row in states if row[0] == state]

    @property
    def problems_bad(self) -> int:
        """The number of problems that need attention now."""
        return sum(state == "bad" for state, _, _ in self.problems)

    @property
    def problems_warn(self) -> int:
        """The number of warnings."""
        return len(self.problems) - self.problems_bad

    @property
    def state(self) -> str:
        """`bad`, `warn`, `good`, or `calm` if there were no requests to evaluate."""
        if self.problems:
            return self.problems[0][0]
        return "good" if self.numbers.value("requests") else "calm"

    @property
    def late(self) -> str:
        """What is missing from the numbers because rollups are late; "" if they are not."""
        until, now = self.numbers.rolled_until, self.numbers.now
        live = f"the last {LIVE / timedelta(hours=1):.0f} hours"
        if until is None:
            return f"The worker has not written any rollups yet. Only {live} are complete."
        if now - until <= ROLLUP_LATE:
            return ""
        last = f"The worker's last rollup was {ago(until, now)}."
        if now - until <= LIVE:
            return f"{last} The numbers are still complete."
        return f"{last} Data since then is missing, except for {live}."

    @property
    def unnamed(self) -> int:
        """The number of 5xx responses, if none of their request ids are known."""
        return 0 if self.errors else _whole(self.numbers.value("errors"))

    @property
    def payments(self) -> list[Slice]:
        """The payments of the range by outcome."""
        outcomes: list[tuple[str, str, str]] = [
            ("Completed", "payments_completed", "good"),
            ("Failed: card declined", "payments_declined", "warn"),
            ("Failed: cancelled at the gateway", "payments_cancelled", "warn"),
            ("Failed: charge rejected by the gateway", "payments_rejected", "bad"),
            (f"Unknown for over {UNKNOWN_AGE}, counted as failed", "payments_overdue", "bad"),
        ]
        counts = [(name, _whole(self.numbers.value(key)), state) for name, key, state in outcomes]
        whole = sum(count for _, count, _ in counts)
        return [
            Slice(name, count, 100 * count / whole if whole else None, state)
            for name, count, state in counts
        ]

    @property
    def unknown_age(self) -> str:
        """The age from which an unknown payment counts as failed."""
        return UNKNOWN_AGE

    @property
    def charts(self) -> list[tuple[Chart, SafeString]]:
        """The charts, each with the rows of its table."""
        return [(chart, rows(self.numbers, chart)) for chart in CHARTS]

    @property
    def drawable(self) -> dict[str, object]:
        """The data for charts.js."""
        return drawable(self.numbers)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def read_overview(name: str, now: datetime) -> Overview:
    """Return the dashboard's content for one of RANGES."""
    numbers = read_numbers(time_range(name, now), now)
    alerts = selectors.alerts_now(now=now)
    return Overview(
        name=name,
        numbers=numbers,
        cards=cards(numbers, RANGES[name]),
        checks=health(now),
        alerts=alerts,
        errors=recent_errors(numbers),
    )
