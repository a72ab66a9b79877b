"""What the page of the quality scenarios shows, and what Prometheus is told of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from quality.catalogue import JUDGED, SCENARIOS
from quality.evaluators import KINDS
from quality.metrics import SCENARIO_PASSING
from quality.models import VerdictInterval
from quality.scenario import Evaluation, Evidence, Scenario, Verdict, judge
from quality.services import KEEP
from retail.db.reads import bounded_read
from retail.history.read import LIVE, TimeRange, history, rolled_until, time_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retail.observability.prometheus.instruments import DatabaseGauge

DAYS = (1, 7, 30)
SPANS = {1: "24h", 7: "7d", 30: "30d"}
MOST_INTERVALS = 2_000  # a verdict that flaps makes one in two minutes
STRIP = 1000  # units that a trend's strip is wide
MINUTE = timedelta(minutes=1)
COLOURS = {Verdict.PASS: "good", Verdict.FAIL: "bad"}
PASSING = {Verdict.PASS: 1.0, Verdict.FAIL: 0.0}


def _evidence(days: int, now: datetime) -> Evidence:
    span = time_range(SPANS[days], now)
    mark = rolled_until()  # None only in a new shop, which has nothing older than LIVE
    late = mark is not None and mark < span.until - LIVE
    return Evidence(span, now, history(KINDS, span), late)


def judged(days: int, now: datetime) -> dict[Scenario, Evaluation]:
    """Return the verdict on every scenario that is judged on the running shop."""
    evidence = _evidence(days, now)
    return {one: judge(one, evidence) for one in JUDGED}


@dataclass(frozen=True)
class Bar:
    """A piece of a trend's strip."""

    x: int
    width: int
    colour: str


@dataclass(frozen=True)
class Trend:
    """How the verdict went through the window, as the worker judged it every minute."""

    bars: Sequence[Bar]
    verdict: str  # the last, "" where nobody judged lately
    since: datetime | None
    passed_percent: float | None  # of the time in which there was evidence

    @property
    def said(self) -> str:
        """The same in words."""
        if not self.bars:
            return "Not judged in this time: is the worker running?"
        lately = "Not judged lately"
        if self.verdict and self.since:
            since = f"{self.since:%-d %b, %H:%M} UTC"
            lately = f"Judged every minute over a day: {self.verdict} since {since}"
        if self.passed_percent is None:
            return f"{lately}; never any evidence in this time"
        return f"{lately}; passed {self.passed_percent:.1f} % of the time with evidence"


def _trend(intervals: Sequence[VerdictInterval], span: TimeRange) -> Trend:
    """Make a trend of a scenario's intervals, the oldest first."""
    whole = span.until - span.since
    bars = []
    lasted: defaultdict[str, timedelta] = defaultdict(timedelta)
    for one in intervals:
        since = max(one.since, span.since)
        until = min(one.until + MINUTE, span.until)
        lasted[one.verdict] += until - since
        width = max(4, round(STRIP * ((until - since) / whole)))
        x = min(round(STRIP * ((since - span.since) / whole)), STRIP - width)
        bars.append(Bar(x, width, COLOURS.get(Verdict(one.verdict), "none")))
    told = lasted[Verdict.PASS] + lasted[Verdict.FAIL]
    last = intervals[-1] if intervals and span.until - intervals[-1].until < KEEP else None
    return Trend(
        bars,
        last.verdict if last else "",
        last.since if last else None,
        100 * (lasted[Verdict.PASS] / told) if told else None,
    )


@dataclass(frozen=True)
class ShownScenario:
    """A scenario as the page tells it."""

    scenario: Scenario
    judgement: Evaluation
    queries: Sequence[tuple[str, str]]
    trend: Trend | None

    @property
    def colour(self) -> str:
        """`good`, `bad`, `calm` for what tests prove, or `none`; the verdict stands as a word."""
        calm = self.judgement.verdict == Verdict.TESTED
        return "calm" if calm else COLOURS.get(self.judgement.verdict, "none")


@dataclass(frozen=True)
class Board:
    """Everything on the page of the quality scenarios."""

    days: int
    span: TimeRange
    shown: Sequence[ShownScenario]

    @property
    def first(self) -> Sequence[ShownScenario]:
        """The two that the shop stands or falls by."""
        return [one for one in self.shown if one.scenario.id in {"A1", "A2"}]

    @property
    def others(self) -> Sequence[ShownScenario]:
        """The rest of them."""
        return [one for one in self.shown if one.scenario.id not in {"A1", "A2"}]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each verdict."""
        counted = Counter(one.judgement.verdict for one in self.shown)
        return {verdict.value: counted[verdict] for verdict in Verdict}

    @property
    def state(self) -> str:
        """`bad` if one fails, `good` if one passes and none fails, else `none`."""
        if self.failing:
            return "bad"
        return "good" if self.counts[Verdict.PASS] else "none"

    @property
    def failing(self) -> Sequence[str]:
        """The ids of those that fail."""
        return [one.scenario.id for one in self.shown if one.judgement.verdict == Verdict.FAIL]


def board(*, days: int, now: datetime) -> Board:
    """Return all scenarios with their verdicts over the last `days` (one of DAYS)."""
    evidence = _evidence(days, now)
    span = evidence.span
    kept = VerdictInterval.objects.filter(until__gte=span.since).defer("measures")
    by_id: defaultdict[str, list[VerdictInterval]] = defaultdict(list)
    for one in kept.order_by("-until", "-since")[:MOST_INTERVALS]:
        by_id[one.scenario].insert(0, one)
    return Board(
        days,
        span,
        [
            ShownScenario(
                one,
                judge(one, evidence),
                [(asked.language, asked.of(span)) for asked in one.queries],
                _trend(by_id[one.id], span) if one.judge else None,
            )
            for one in SCENARIOS
        ],
    )


def read_passing() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return 1 for each scenario that passes and 0 for each that fails, by its last verdict.

    One without evidence, or that nobody judged lately, is left out.
    """
    with bounded_read():
        fresh = VerdictInterval.objects.filter(until__gt=timezone.now() - KEEP)
        last = dict(fresh.order_by("until", "since").values_list("scenario", "verdict"))
    return {
        SCENARIO_PASSING: {
            (scenario,): PASSING[Verdict(verdict)]
            for scenario, verdict in last.items()
            if verdict in PASSING
        }
    }
