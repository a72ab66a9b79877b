"""What monitoring adds to a request: paired differences of CPU time, combined over launches.

Every launch starts all processes anew. Within a launch, processes differ by a constant that no
number of turns averages out (memory layout, hash seed), so a launch gives one value, the median of
its paired turns, and the confidence interval is that of the launches.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.support.tables import Spread, figure, markdown
from benchmarks.support.targets import Target, targets_table, with_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTROL, OFF, ON = "control", "off", "on"
WAYS = {
    CONTROL: "nothing, in another process",
    OFF: "nothing",
    ON: "the shop as it is, JSON lines included",
    "django-prometheus": "django-prometheus' middleware",
    "otel-metrics": "OpenTelemetry, metrics",
    "otel-spans": "OpenTelemetry, metrics and spans",
    "insert": "an INSERT for each request",
}
TITLES = {
    "bare": "Bare view",
    "product": "Product page",
    "flash": "Flash checkout",
    "cart": "Cart checkout, the gateway answers at once",
}
# What the shop's monitoring may add to the bare view, as a share of what a peer adds.
PEERS = {
    "django-prometheus": Target("Bare view: added / added by django-prometheus", "≤", 0.5),
    "otel-metrics": Target("Bare view: added / added by OpenTelemetry's metrics", "≤", 0.25),
}
MOST_PERCENT = 5


@dataclass(frozen=True)
class Cost:
    """CPU microseconds of a request, in the shop's process and in PostgreSQL's."""

    own: float
    database: float

    @property
    def both(self) -> float:
        """The sum of the two."""
        return self.own + self.database

    def plus(self, other: Cost, share: float) -> Cost:
        """Return this cost with a share of another."""
        return Cost(self.own + share * other.own, self.database + share * other.database)


# By page and way of watching: the cost of a request in each turn.
Launch = dict[str, dict[str, list[Cost]]]


def added(launch: Launch, page: str, way: str) -> float:
    """Return the microseconds that a way of watching adds to the shop's process."""
    beside = zip(launch[page][way], launch[page][OFF], strict=True)
    return median(watched.own - bare.own for watched, bare in beside)


def added_percent(launch: Launch, page: str, way: str) -> float:
    """Return how much more CPU time both processes need together."""
    beside = zip(launch[page][way], launch[page][OFF], strict=True)
    return 100 * median((watched.both - bare.both) / bare.both for watched, bare in beside)


def added_percent_alone(launch: Launch, page: str, way: str) -> float:
    """Return how much more CPU time the shop's process needs."""
    beside = zip(launch[page][way], launch[page][OFF], strict=True)
    return 100 * median((watched.own - bare.own) / bare.own for watched, bare in beside)


def costs_table(launches: Sequence[Launch]) -> str:
    """Return the table of what a request costs, by page and way of watching."""
    rows = []
    for page, ways in launches[0].items():
        for way in ways:
            own = median(median(cost.own for cost in one[page][way]) for one in launches)
            database = median(median(cost.database for cost in one[page][way]) for one in launches)
            row = [TITLES[page], WAYS[way], figure(own), figure(database)]
            for measure in (added, added_percent, added_percent_alone):
                spread = Spread(tuple(measure(one, page, way) for one in launches))
                row.append("" if way == OFF else with_interval(spread))
            rows.append(row)
    headings = ["µs", "PostgreSQL µs", "added µs", "added % of both", "added % of the first"]
    return markdown(["", "watched by", *headings], rows)


def by_target(launches: Sequence[Launch]) -> Iterator[tuple[Target, Spread]]:
    """Yield each target with its values, one a launch."""
    for peer, target in PEERS.items():
        quotients = (added(one, "bare", ON) / added(one, "bare", peer) for one in launches)
        yield target, Spread(tuple(quotients))
    for page in ("product", "flash", "cart"):
        percents = (added_percent(one, page, ON) for one in launches)
        yield Target(f"{TITLES[page]}: added", "≤", MOST_PERCENT, " %"), Spread(tuple(percents))


def verdicts(launches: Sequence[Launch]) -> str:
    """Return the table of targets."""
    return targets_table(by_target(launches))
