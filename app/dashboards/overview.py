"""Everything that the dashboard shows, put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dashboards.cards import Card, cards
from dashboards.charts import CHARTS, Chart, drawable, rows
from dashboards.errors import ServerError, recent_errors
from dashboards.numbers import Numbers, numbers
from oncall import selectors
from retail.health import Check, health
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
USUAL = "24h"
ROLLED_LATE = timedelta(seconds=THRESHOLDS.rollups.late_after_seconds)
UNKNOWN_AGE = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
FIRING_SHOWN = 5
EACH = {MINUTE: "minute", HOUR: "hour", DAY: "day"}


@dataclass(frozen=True)
class Slice:
    """A part of the payments."""

    name: str
    count: int
    share: float | None  # percent of the settled ones; None for those that are not
    state: str


@dataclass(frozen=True)
class Overview:
    """The dashboard at a moment."""

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
        """How long a step of the charts is."""
        return EACH[self.numbers.span.step]

    @property
    def firing(self) -> list[selectors.ShownAlert]:
        """The worst alerts that fire."""
        return self.alerts.firing[:FIRING_SHOWN]

    @property
    def troubles(self) -> list[tuple[str, str, str]]:
        """What is not as it should be, the worst first: state, name, word."""
        found = [(one.status.state, one.title, one.status.word) for one in self.cards]
        found += [(one.finding.state, one.name, one.finding.word) for one in self.checks]
        found += [(one.colour, one.alert.name, "alert firing") for one in self.alerts.firing]
        return [one for state in ("bad", "warn") for one in found if one[0] == state]

    @property
    def troubles_bad(self) -> int:
        """How many of them cannot wait."""
        return sum(state == "bad" for state, _, _ in self.troubles)

    @property
    def troubles_warn(self) -> int:
        """How many of them can."""
        return len(self.troubles) - self.troubles_bad

    @property
    def state(self) -> str:
        """`bad`, `warn`, `good`, or `calm` where there was nothing to judge."""
        if self.troubles:
            return self.troubles[0][0]
        return "good" if self.numbers.value("requests") else "calm"

    @property
    def late(self) -> str:
        """What the worker's sums being late means for the numbers; "" while they are not."""
        until, now = self.numbers.rolled_until, self.numbers.now
        live = f"the last {LIVE / timedelta(hours=1):.0f} hours"
        if until is None:
            return f"The worker has not added anything up yet: only {live} are complete here."
        if now - until <= ROLLED_LATE:
            return ""
        last = f"The worker last added up what happened {ago(until, now)}"
        if now - until <= LIVE:
            return f"{last}. The numbers are complete all the same, for now."
        return f"{last}. What came after it is missing here, except for {live}."

    @property
    def unnamed(self) -> int:
        """How many answers 5xx there were whose request ids are not known."""
        return 0 if self.errors else _whole(self.numbers.value("errors"))

    @property
    def payments(self) -> list[Slice]:
        """How the range's payments ended, and which have not."""
        found = self.numbers
        settled: list[tuple[str, str, str]] = [
            ("Completed", "payments_completed", "good"),
            ("Failed: the card was declined", "payments_declined", "warn"),
            ("Failed: cancelled at the gateway", "payments_cancelled", "warn"),
            ("Failed: the gateway refused the charge", "payments_rejected", "bad"),
            (f"Unknown for over {UNKNOWN_AGE}, counted as failed", "payments_overdue", "bad"),
        ]
        counts = [(name, _whole(found.value(key)), state) for name, key, state in settled]
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
        """The charts, and the rows of the tables behind them."""
        return [(chart, rows(self.numbers, chart)) for chart in CHARTS]

    @property
    def drawable(self) -> dict[str, object]:
        """What the script draws."""
        return drawable(self.numbers)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def overview(name: str, now: datetime) -> Overview:
    """Look at everything, for a range of RANGES."""
    found = numbers(time_range(name, now), now)
    alerts = selectors.alerts_now(now=now)
    return Overview(
        name=name,
        numbers=found,
        cards=cards(found, RANGES[name]),
        checks=health(now),
        alerts=alerts,
        errors=recent_errors(found),
    )
