"""What benchmarks/checkout.py found, as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.support.measurements import MEASUREMENTS, PIECES, RACERS, Run
from benchmarks.support.tables import Spread, figure, markdown, ratios

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Results = dict[str, list[Run]]  # by measurement, one run a round

# What is divided by what, and what it must be at least.
RATIOS = (
    ("Flash checkout / django-oscar's order", "hot", "oscar", 8.0),
    ("Flash checkout / bare view", "hot", "bare", 0.35),
    ("Cart checkout / django-oscar's order", "cart", "oscar", 3.0),
    ("Sold-out refusals / flash checkout", "sold-out", "hot", 1.5),
)
# What must be answered in fewer milliseconds than this, in 99 of 100 cases.
FAST_FAILS = (
    ("Breaker open, one buyer at a time: p99 in ms", "open-alone", 10.0),
    ("Breaker open, all clients: p99 in ms", "open", 100.0),
)


def rates(results: Results) -> str:
    """Return the table of everything measured."""
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


def _measured(results: Results) -> Iterator[tuple[str, str, float, Spread, bool]]:
    """Yield each target that was measured: what, sign, wanted, found, met."""
    for what, above, below, least in RATIOS:
        if above in results and below in results:
            found = ratios(*([run.rate for run in results[name]] for name in (above, below)))
            yield what, "≥", least, found, found.median >= least
    for what, name, most in FAST_FAILS:
        if name in results:
            found = Spread(tuple(run.p99 or 0.0 for run in results[name]))
            yield what, "<", most, found, found.median < most


def targets(results: Results) -> str:
    """Return the table of targets."""
    rows = [
        [what, f"{sign} {wanted:g}", str(found), "yes" if met else "no"]
        for what, sign, wanted, found, met in _measured(results)
    ]
    return markdown(["", "target", "measured", "met"], rows)


def comparison(empty: Results, filled: Results) -> str:
    """Return the table of what a million sales change.

    A ratio has stayed if its median moved by no more than the rounds differ among themselves.
    """
    rows = []
    for before, after in zip(_measured(empty), _measured(filled), strict=True):
        one, other = before[3], after[3]
        moved = abs(one.median - other.median)
        rows.append([before[0], str(one), str(other), "no" if moved <= max(one.width, other.width)
                     else f"by {figure(moved)}"])  # fmt: skip
    return markdown(["", "empty shop", "a million sales", "moved beyond the spread"], rows)


def oversold(races: Sequence[tuple[int, int]]) -> str:
    """Return the table of what was sold beyond the stock."""
    columns: Mapping[str, Sequence[int]] = {
        "Vitrine": [ours for ours, _ in races],
        "django-oscar": [theirs for _, theirs in races],
    }
    return markdown(
        [f"{RACERS} buyers, {PIECES} pieces", "sold too many"],
        [[who, ", ".join(str(number) for number in numbers)] for who, numbers in columns.items()],
    )
