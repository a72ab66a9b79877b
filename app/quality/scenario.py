"""What a quality scenario is made of, and what a verdict on one is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from string import Template
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from retail.history.read import Point, TimeRange


class Verdict(StrEnum):
    """How it stands with a scenario. TESTED ones are proved before a version runs, not by it."""

    PASS = "PASS"  # noqa: S105 - no password
    FAIL = "FAIL"
    NO_EVIDENCE = "NO EVIDENCE"
    TESTED = "TESTED"


@dataclass(frozen=True)
class Measure:
    """A number beside its promise. `kept` is None while there is nothing to judge it by.

    Without a judgement a `required` measure leaves the scenario without evidence; of another the
    page says that it was not exercised.
    """

    name: str
    value: float | None
    unit: str
    promise: str
    kept: bool | None
    note: str = ""
    required: bool = True

    @property
    def shown(self) -> str:
        """The number as people read it."""
        if self.value is None:
            return "nothing to measure" if self.required else "not exercised"
        digits = 2 if self.unit in {"%", "ms", "s"} else 0
        return f"{self.value:,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Evidence:
    """What the shop has noted in a span of time, by type of metric row."""

    span: TimeRange
    now: datetime
    rows: dict[str, list[Point]]
    late: bool  # the worker has not added up all of it


class EvidenceQuery(NamedTuple):
    """A query that a person can run; `$since` and `$window` stand for the span's."""

    language: str
    text: str

    def of(self, span: TimeRange) -> str:
        """Return the query for a span of time."""
        hours = round((span.until - span.since).total_seconds() / 3600)
        since = f"{span.since:%Y-%m-%d %H:%M:%S}+00"
        return Template(self.text).substitute(since=since, window=f"{max(hours, 1)}h")


@dataclass(frozen=True)
class Scenario:
    """A quality scenario in its six parts, and the evidence for it.

    `judge` measures a running shop; `proofs` are pytest node ids; `missing_reason` says why there
    is neither.
    """

    id: str
    title: str
    source: str
    stimulus: str
    environment: str
    artifact: str
    response: str
    measure: str
    judge: Callable[[Evidence], Sequence[Measure]] | None = None
    queries: tuple[EvidenceQuery, ...] = ()
    proofs: tuple[str, ...] = ()
    missing_reason: str = ""
    runbooks: tuple[str, ...] = ()

    @property
    def quality(self) -> str:
        """The quality that its letter stands for."""
        return QUALITIES[self.id[0]]

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The six parts, by their names."""
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
        """What it is judged by."""
        if self.judge is None:
            return "none yet" if self.missing_reason else "tests"
        return "the running shop, and tests" if self.proofs else "the running shop"


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
    """A scenario's verdict and the measures it was made from."""

    verdict: Verdict
    measures: tuple[Measure, ...] = ()


def judge(scenario: Scenario, evidence: Evidence) -> Evaluation:
    """Return the verdict on a scenario: never a pass where something it needs was not measured."""
    if scenario.judge is None:
        return Evaluation(Verdict.NO_EVIDENCE if scenario.missing_reason else Verdict.TESTED)
    measures = list(scenario.judge(evidence))
    if evidence.late:
        measures.append(
            Measure("Added up by the worker", None, "", "the whole window", None, "it is late")
        )
    if any(one.kept is False for one in measures):
        verdict = Verdict.FAIL
    elif any(one.kept is None and one.required for one in measures):
        verdict = Verdict.NO_EVIDENCE
    else:
        verdict = Verdict.PASS
    return Evaluation(verdict, tuple(measures))
