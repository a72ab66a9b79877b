"""What benchmarks/checkout.py found, as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.support.measurements import MEASUREMENTS, PIECES, RACERS, Run
from benchmarks.support.tables import Spread, figure, markdown, ratios
from benchmarks.support.targets import Target, targets_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Results = dict[str, list[Run]]  # by measurement, one run a round

# What is divided by what, measured in the same round.
RATIOS = (
    ("hot", "oscar", Target("Flash checkout / django-oscar's order", "≥", 10)),
    ("hot", "bare", Target("Flash checkout / bare view", "≥", 0.5)),
    ("cart", "oscar", Target("Cart checkout / django-oscar's order", "≥", 6)),
    ("sold-out", "hot", Target("Sold-out refusals / flash checkout", "≥", 1.8)),
)
FAST_FAILS = (
    ("open-alone", Target("Breaker open, one buyer at a time: p99", "<", 10, " ms")),
    ("open-half", Target("Breaker open, open loop at half of its capacity: p99", "<", 100, " ms")),
)


def rates(results: Results) -> str:
    """Return the table of rates and latencies."""
    rows = [
        [
            MEASUREMENTS[name].title,
            str(Spread(tuple(run.rate for run in runs))),
            _middle(run.p50 for run in runs),
            _middle(run.p95 for run in runs),
            _middle(run.p99 for run in runs),
        ]
        for name, runs in results.items()
    ]
    return markdown(["", "a second", "p50 ms", "p95 ms", "p99 ms"], rows)


def _middle(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return figure(median(known)) if known else ""


def _measured(results: Results) -> Iterator[tuple[Target, Spread]]:
    """Yield each target that was measured."""
    for above, below, target in RATIOS:
        if above in results and below in results:
            yield target, ratios(*([run.rate for run in results[name]] for name in (above, below)))
    for name, target in FAST_FAILS:
        if name in results:
            yield target, Spread(tuple(run.p99 or 0.0 for run in results[name]))


def targets(results: Results) -> str:
    """Return the table of targets."""
    return targets_table(_measured(results))


def comparison(empty: Results, filled: Results) -> str:
    """Return the table of what a million sales change.

    A median that moves by less than the rounds differ among themselves has not changed.
    """
    rows = []
    for (target, one), (_, other) in zip(_measured(empty), _measured(filled), strict=True):
        moved = abs(one.median - other.median)
        stayed = moved <= max(one.width, other.width)
        changed = "no" if stayed else f"by {figure(moved)}"
        rows.append([target.title, str(one), str(other), changed])
    return markdown(["", "empty shop", "a million sales", "moved beyond the spread"], rows)


def oversold(races: Sequence[tuple[int, int]]) -> str:
    """Return the table of what was sold beyond the stock."""
    columns: Mapping[str, Sequence[int]] = {
        "Vitrine": [ours for ours, _ in races],
        "django-oscar": [theirs for _, theirs in races],
    }
    return markdown(
        [f"{RACERS} buyers, {PIECES} units", "sold too many"],
        [[who, ", ".join(str(number) for number in numbers)] for who, numbers in columns.items()],
    )
