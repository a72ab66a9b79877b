"""Evaluate the quality scenarios for the page, the worker and Prometheus."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from quality.catalogue import EVALUATED, SCENARIOS
from quality.evaluators import KINDS
from quality.metrics import SCENARIO_PASSING
from quality.models import VerdictInterval
from quality.scenario import Evaluation, Evidence, Scenario, Verdict, evaluate
from quality.services import VALID_FOR
from retail.db.reads import bounded_read
from retail.health import health, problems
from retail.history.read import LIVE, TimeRange, history, rolled_until, time_range

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retail.health import Check
    from retail.observability.prometheus.instruments import DatabaseGauge

DAYS = (1, 7, 30)
FIRST = {"A1", "A2"}  # shown above the others
RANGE_NAMES = {1: "24h", 7: "7d", 30: "30d"}
MOST_INTERVALS = 2_000  # a flapping verdict starts one in two minutes
STRIP = 1000  # width of a trend's strip, in SVG units
MINUTE = timedelta(minutes=1)
logger = logging.getLogger("retail.quality")
COLOURS = {Verdict.PASS: "good", Verdict.FAIL: "bad"}
PASSING = {Verdict.PASS: 1.0, Verdict.FAIL: 0.0}


def _evidence(days: int, now: datetime) -> Evidence:
    span = time_range(RANGE_NAMES[days], now)
    mark = rolled_until()  # None only in a new shop, with nothing older than LIVE
    late = mark is not None and mark < span.until - LIVE
    return Evidence(span, now, history(KINDS, span), late)


def evaluations(days: int, now: datetime) -> dict[Scenario, Evaluation]:
    """Evaluate every scenario that has evidence in the running shop."""
    evidence = _evidence(days, now)
    return {scenario: _evaluate(scenario, evidence) for scenario in EVALUATED}


def _evaluate(scenario: Scenario, evidence: Evidence) -> Evaluation:
    """Evaluate a scenario. One whose evidence cannot be read has none; the others go on."""
    try:
        return evaluate(scenario, evidence)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("event=scenario.not_evaluated", extra={"scenario": scenario.id})
        return Evaluation(Verdict.NO_EVIDENCE)


@dataclass(frozen=True)
class Bar:
    """A bar of a trend's strip."""

    x: int
    width: int
    colour: str


@dataclass(frozen=True)
class Trend:
    """A scenario's verdicts over a time range, stored every minute."""

    bars: Sequence[Bar]
    verdict: str  # the latest; "" without a recent one
    since: datetime | None
    passed_percent: float | None  # of the time with evidence

    @property
    def summary(self) -> str:
        """The trend in words."""
        if not self.bars:
            return "Not evaluated in this range. Is the worker running?"
        latest = "Not evaluated recently"
        if self.verdict and self.since:
            since = f"{self.since:%-d %b, %H:%M} UTC"
            latest = f"Evaluated every minute over the last 24 hours: {self.verdict} since {since}"
        if self.passed_percent is None:
            return f"{latest}; no evidence in this range"
        return f"{latest}; passed {self.passed_percent:.1f} % of the time with evidence"


def _trend(intervals: Sequence[VerdictInterval], span: TimeRange) -> Trend:
    """Return the trend of a scenario's intervals, given oldest first."""
    whole = span.until - span.since
    bars = []
    lasted: defaultdict[str, timedelta] = defaultdict(timedelta)
    for interval in intervals:
        since = max(interval.since, span.since)
        until = min(interval.until + MINUTE, span.until)
        lasted[interval.verdict] += until - since
        width = max(4, round(STRIP * ((until - since) / whole)))
        x = min(round(STRIP * ((since - span.since) / whole)), STRIP - width)
        bars.append(Bar(x, width, COLOURS.get(Verdict(interval.verdict), "none")))
    with_evidence = lasted[Verdict.PASS] + lasted[Verdict.FAIL]
    last = intervals[-1] if intervals and span.until - intervals[-1].until < VALID_FOR else None
    return Trend(
        bars,
        last.verdict if last else "",
        last.since if last else None,
        100 * (lasted[Verdict.PASS] / with_evidence) if with_evidence else None,
    )


@dataclass(frozen=True)
class ShownScenario:
    """A scenario as the page shows it."""

    scenario: Scenario
    evaluation: Evaluation
    queries: Sequence[tuple[str, str]]
    trend: Trend | None

    @property
    def colour(self) -> str:
        """`good`, `bad`, `none` without evidence, or `calm` if it is verified by tests."""
        calm = self.evaluation.verdict == Verdict.TESTED
        return "calm" if calm else COLOURS.get(self.evaluation.verdict, "none")


@dataclass(frozen=True)
class Board:
    """The content of the quality scenarios page."""

    days: int
    span: TimeRange
    shown: Sequence[ShownScenario]
    problems: Sequence[Check]

    @property
    def first(self) -> Sequence[ShownScenario]:
        """The two most important scenarios."""
        return [shown for shown in self.shown if shown.scenario.id in FIRST]

    @property
    def others(self) -> Sequence[ShownScenario]:
        """All other scenarios."""
        return [shown for shown in self.shown if shown.scenario.id not in FIRST]

    @property
    def counts(self) -> dict[str, int]:
        """The number of scenarios by verdict."""
        counted = Counter(shown.evaluation.verdict for shown in self.shown)
        return {verdict.value: counted[verdict] for verdict in Verdict}

    @property
    def state(self) -> str:
        """`bad` if a scenario fails or a health check does, `good` if one passes, else `none`."""
        if self.failing or self.unhealthy:
            return "bad"
        return "good" if self.counts[Verdict.PASS] else "none"

    @property
    def unhealthy(self) -> Sequence[str]:
        """The names of the health checks that find a problem now. Verdicts look back."""
        return [check.name for check in self.problems if check.finding.state == "bad"]

    @property
    def failing(self) -> Sequence[str]:
        """The ids of the failing scenarios."""
        failing = (shown for shown in self.shown if shown.evaluation.verdict == Verdict.FAIL)
        return [shown.scenario.id for shown in failing]


def board(*, days: int, now: datetime) -> Board:
    """Evaluate all scenarios over the last `days` (one of DAYS)."""
    evidence = _evidence(days, now)
    span = evidence.span
    intervals = VerdictInterval.objects.filter(until__gte=span.since).defer("measures")
    by_id: defaultdict[str, list[VerdictInterval]] = defaultdict(list)
    for interval in intervals.order_by("-until", "-since")[:MOST_INTERVALS]:
        by_id[interval.scenario].insert(0, interval)
    return Board(
        days,
        span,
        [
            ShownScenario(
                scenario,
                _evaluate(scenario, evidence),
                [(query.language, query.of(span)) for query in scenario.queries],
                _trend(by_id[scenario.id], span) if scenario.evaluate else None,
            )
            for scenario in SCENARIOS
        ],
        problems(health(now)),
    )


def read_passing() -> dict[DatabaseGauge, dict[tuple[str, ...], float]]:
    """Return 1 for each scenario whose last verdict is PASS and 0 for each whose is FAIL.

    Scenarios without evidence or without a recent verdict are left out.
    """
    with bounded_read():
        recent = VerdictInterval.objects.filter(until__gt=timezone.now() - VALID_FOR)
        last = dict(recent.order_by("until", "since").values_list("scenario", "verdict"))
    return {
        SCENARIO_PASSING: {
            (scenario,): PASSING[Verdict(verdict)]
            for scenario, verdict in last.items()
            if verdict in PASSING
        }
    }
