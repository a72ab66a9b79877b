"""Quality scenarios and their evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from retail.history.read import Point, TimeRange


class Verdict(StrEnum):
    """The result of a scenario. TESTED: verified by tests before a release, not at run time."""

    PASS = "PASS"  # noqa: S105 - not a password
    FAIL = "FAIL"
    NO_EVIDENCE = "NO EVIDENCE"
    TESTED = "TESTED"


@dataclass(frozen=True)
class Measure:
    """A number and its objective. `met` is None if there is no data.

    Then a `required` measure leaves the scenario without evidence; an optional one does not.
    """

    name: str
    value: float | None
    unit: str
    objective: str
    met: bool | None
    note: str = ""
    required: bool = True

    @property
    def document(self) -> dict[str, Any]:
        """The fields as they are stored and as the JSON API returns them."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "promise": self.objective,
            "kept": self.met,
            "note": self.note,
        }

    @property
    def shown(self) -> str:
        """The number with its unit, as text."""
        if self.value is None:
            return "no data" if self.required else "not exercised"
        digits = 2 if self.unit in {"%", "ms", "s"} else 0
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Evidence:
    """What the shop recorded in a time range, by type of metric row."""

    span: TimeRange
    now: datetime
    rows: dict[str, list[Point]]
    late: bool  # rollups are missing


class EvidenceQuery(NamedTuple):
    """A query to run by hand, with placeholders `$since` and `$window` for the time range."""

    language: str
    text: str

    def of(self, span: TimeRange) -> str:
        """Return the query for a time range."""
        hours = round((span.until - span.since).total_seconds() / 3600)
        since = f"{span.since:%Y-%m-%d %H:%M:%S}+00"
        return Template(self.text).substitute(since=since, window=f"{max(hours, 1)}h")


@dataclass(frozen=True)
class Scenario:
    """A quality scenario in its six parts, and the evidence for it.

    `evaluate` measures the running shop, `proofs` are pytest node ids, and `missing_reason` is set
    if there is neither.
    """

    id: str
    title: str
    source: str
    stimulus: str
    environment: str
    artifact: str
    response: str
    measure: str
    evaluate: Callable[[Evidence], Sequence[Measure]] | None = None
    queries: tuple[EvidenceQuery, ...] = ()
    proofs: tuple[str, ...] = ()
    missing_reason: str = ""
    runbooks: tuple[str, ...] = ()

    @property
    def quality(self) -> str:
        """The quality attribute that its letter stands for."""
        return QUALITIES[self.id[0]]

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The six parts, each with its name."""
        return (
            ("Source", self.source),
            ("Stimulus", self.stimulus),
            ("Environment", self.environment),
            ("Artifact", self.artifact),
            ("Response", self.response),
            ("Response measure", self.measure),
        )

    @property
    def evidence(self) -> str:
        """Where its evidence comes from."""
        if self.evaluate is None:
            return "none yet" if self.missing_reason else "tests"
        return "the running shop and tests" if self.proofs else "the running shop"


QUALITIES = {
    "A": "Availability",
    "S": "Security",
    "M": "Modifiability",
    "P": "Performance",
    "I": "Integrability",
    "T": "Testability",
    "U": "Usability",
}


@dataclass(frozen=True)
class Evaluation:
    """A scenario's verdict and the measures behind it."""

    verdict: Verdict
    measures: tuple[Measure, ...] = ()


def evaluate(scenario: Scenario, evidence: Evidence) -> Evaluation:
    """Evaluate a scenario. It never passes if a required measure has no data."""
    if scenario.evaluate is None:
        return Evaluation(Verdict.NO_EVIDENCE if scenario.missing_reason else Verdict.TESTED)
    measures = list(scenario.evaluate(evidence))
    if evidence.late:
        measures.append(Measure("Rollups", None, "", "complete", None, "the worker is late"))
    if any(measure.met is False for measure in measures):
        verdict = Verdict.FAIL
    elif any(measure.met is None and measure.required for measure in measures):
        verdict = Verdict.NO_EVIDENCE
    else:
        verdict = Verdict.PASS
    return Evaluation(verdict, tuple(measures))
