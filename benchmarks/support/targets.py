"""Targets of benchmarks, and the verdict that a measurement's confidence interval allows."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal

from benchmarks.support.tables import figure, markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.support.tables import Spread

CONFIDENCE = 0.95
FEWEST = 6  # values without which no interval of the median has this confidence


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the median, or the range of fewer than six values.

    Order statistics: it assumes nothing about how the values are distributed.
    """
    ordered, rank, beyond = sorted(values), 0, 0.0
    while True:
        # The chance that the median lies below the value of this rank, or above its mirror image.
        beyond += 2 * comb(len(ordered), rank) / 2 ** len(ordered)
        if beyond > 1 - CONFIDENCE:
            break
        rank += 1
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[-rank]


@dataclass(frozen=True)
class Target:
    """A bound for the median of a measurement."""

    title: str
    sign: Literal["≥", "≤", "<"]
    bound: float
    unit: str = ""

    def verdict(self, measured: Spread) -> str:
        """Return "met" or "not met" if all of the interval is, else "cannot tell"."""
        if len(measured.values) < FEWEST:
            return "cannot tell"
        answers = {self._allows(end) for end in interval(measured.values)}
        if len(answers) > 1:
            return "cannot tell"
        return "met" if answers == {True} else "not met"

    def _allows(self, value: float) -> bool:
        if self.sign == "≥":
            return value >= self.bound
        return value < self.bound or (self.sign == "≤" and value == self.bound)


def with_interval(measured: Spread, unit: str = "") -> str:
    """Return the median and its confidence interval."""
    low, high = interval(measured.values)
    return f"{figure(measured.median)}{unit} ({figure(low)}..{figure(high)})"


def targets_table(measured: Iterable[tuple[Target, Spread]]) -> str:
    """Return the table of targets with their verdicts."""
    rows = [
        [
            target.title,
            f"{target.sign} {target.bound:g}{target.unit}",
            with_interval(spread, target.unit),
            target.verdict(spread),
        ]
        for target, spread in measured
    ]
    return markdown(["", "target", "median (95 % interval)", "verdict"], rows)
