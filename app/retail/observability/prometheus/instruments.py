"""Counters, gauges and histograms with closed label sets.

A thin layer over prometheus_client that keeps three promises: a label value outside the declared
set never makes a series, telemetry never breaks what it watches, and what could not be recorded is
counted in `retail_telemetry_errors_total`. With `strict` on (tests), a mistake raises instead.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import prometheus_client
from prometheus_client.core import GaugeMetricFamily

from retail.observability.prometheus import slots  # chooses where metrics are stored; comes first

if TYPE_CHECKING:
    from prometheus_client.core import Metric

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_EXEMPLARS = slots.folder() is None  # the files of several processes have no place for them

EXEMPLAR_SECONDS = 1.0  # apart; who scrapes every few seconds sees one of each bucket

Child = TypeVar("Child")

Labels = Mapping[str, Sequence[str] | None]
"""Label name → its values; None where code closes the set (the names of the shop's own views)."""


class UnknownLabelError(ValueError):
    """A metric was given a label, or a label's value, that the catalogue does not know."""


@dataclass
class _Telemetry:
    """What all instruments share: how strict to be, and where mistakes are counted."""

    strict: bool = False
    errors: Counter | None = None


telemetry = _Telemetry()


@dataclass(eq=False)
class Instrument(Generic[Child]):
    """A metric of the catalogue: name, help text, labels with their closed sets of values."""

    name: str
    help: str
    labels: Labels = field(default_factory=dict)
    prepared: bool = True  # make every child at start, so that increase() sees the first event
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "counter"

    def __post_init__(self) -> None:
        """Declare the metric to prometheus_client and make its children."""
        self._names = tuple(self.labels)
        self._children: dict[tuple[str, ...], Child] = {}
        self._parent = self._declare()
        if self.prepared and all(values is not None for values in self.labels.values()):
            for combination in itertools.product(*(v for v in self.labels.values() if v)):
                self._make(combination)

    def _declare(self) -> Any:
        raise NotImplementedError

    def _quick(self, child: Any) -> Child:
        """Return what is moved for a child of prometheus_client's metric."""
        raise NotImplementedError

    def _make(self, combination: tuple[str, ...]) -> Child:
        child = self._quick(self._parent.labels(*combination) if combination else self._parent)
        self._children[combination] = child
        return child

    def _child(self, labels: dict[str, str]) -> Child:
        """Return the child of these labels.

        Raises UnknownLabelError for labels outside of the declared sets.
        """
        if tuple(labels) == self._names:  # nearly always: in the catalogue's order, and known
            child = self._children.get(tuple(labels.values()))
            if child is not None:
                return child
        try:
            combination = tuple([labels[name] for name in self.labels])
        except KeyError as missing:
            raise UnknownLabelError(f"{self.name} needs the label {missing}") from None
        if extra := set(labels) - set(self.labels):
            raise UnknownLabelError(f"{self.name} has no label {', '.join(sorted(extra))}")
        for name, value in labels.items():
            allowed = self.labels[name]
            if allowed is not None and value not in allowed:
                raise UnknownLabelError(f"{self.name}: {name}={value!r} is not in the catalogue")
        return self._children.get(combination) or self._make(combination)

    def _failed(self) -> None:
        """Deal with the exception at hand: raise it in tests, count it elsewhere."""
        if telemetry.strict:
            raise  # noqa: PLE0704 - called from except blocks only
        if telemetry.errors is not None and telemetry.errors is not self:
            telemetry.errors.inc(sink="metrics")


Adder = Callable[[float], None]


def adder(child: prometheus_client.Counter | prometheus_client.Gauge) -> Adder:
    """Return what adds to a counter's or gauge's child, past prometheus_client's own checks.

    It would see to it each time that the child has its labels, which these have, and that no
    counter falls.
    """
    add: Adder = child._value.inc  # noqa: SLF001 - the version is pinned, the tests compare
    return add


def observer(child: prometheus_client.Histogram) -> Adder:
    """Return what adds an observation to a histogram's child, likewise."""
    add: Adder = child._sum.inc  # noqa: SLF001 - as above
    bounds: list[float] = child._upper_bounds  # noqa: SLF001 - as above
    counts: list[Adder] = [bucket.inc for bucket in child._buckets]  # noqa: SLF001 - as above

    def observe(value: float) -> None:
        add(value)
        counts[bisect_left(bounds, value)](1)

    return observe


class Counter(Instrument[Adder]):
    """Counts events."""

    def _declare(self) -> prometheus_client.Counter:
        return prometheus_client.Counter(self.name, self.help, tuple(self.labels))

    def _quick(self, child: prometheus_client.Counter) -> Adder:
        return adder(child)

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Count `amount` (not negative) more."""
        try:
            if amount < 0:
                raise ValueError(f"{self.name} only rises, not by {amount}")  # noqa: TRY301
            self._child(labels)(amount)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()


@dataclass(eq=False)
class Gauge(Instrument[tuple[Adder, prometheus_client.Gauge]]):
    """A momentary value of this process; `mode` says how several processes add up."""

    mode: Literal["livesum", "livemax", "mostrecent"] = "livesum"
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "gauge"

    def _declare(self) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(
            self.name, self.help, tuple(self.labels), multiprocess_mode=self.mode
        )

    def _quick(self, child: prometheus_client.Gauge) -> tuple[Adder, prometheus_client.Gauge]:
        return adder(child), child

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Raise (or with a negative amount lower) the value."""
        try:
            self._child(labels)[0](amount)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()

    def set(self, value: float, **labels: str) -> None:
        """Set the value."""
        try:
            self._child(labels)[1].set(value)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()


@dataclass(eq=False)
class Histogram(Instrument[tuple[Adder, prometheus_client.Histogram]]):
    """Counts observations by size, in base units (seconds)."""

    buckets: tuple[float, ...] = prometheus_client.Histogram.DEFAULT_BUCKETS
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "histogram"

    def _declare(self) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            self.name, self.help, tuple(self.labels), buckets=self.buckets
        )

    def _quick(
        self, child: prometheus_client.Histogram
    ) -> tuple[Adder, prometheus_client.Histogram]:
        return observer(child), child

    def __post_init__(self) -> None:
        """Declare the metric, as of any instrument."""
        self._exemplar_at: dict[tuple[prometheus_client.Histogram, int], float] = {}
        super().__post_init__()

    def observe(self, value: float, request_id: str = "", **labels: str) -> None:
        """Count one observation, with the request it came from as an exemplar of its bucket.

        Of many in a second, the first is the exemplar: one costs more than the counting itself.
        """
        try:
            observe, child = self._child(labels)
            if request_id and _EXEMPLARS and self._wants_exemplar(child, value):
                child.observe(value, {"request_id": request_id})
            else:
                observe(value)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()

    def _wants_exemplar(self, child: prometheus_client.Histogram, value: float) -> bool:
        bucket, now = (child, bisect_left(self.buckets, value)), time.monotonic()
        if now - self._exemplar_at.get(bucket, -EXEMPLAR_SECONDS) < EXEMPLAR_SECONDS:
            return False
        self._exemplar_at[bucket] = now
        return True


@dataclass(frozen=True, eq=False)
class DatabaseGauge:
    """A gauge that is read from the database when Prometheus asks; no process holds it."""

    name: str
    help: str
    labels: Labels = field(default_factory=dict)
    kind: str = "gauge (database)"

    def family(self, samples: Mapping[tuple[str, ...], float]) -> Metric:
        """Return the metric with these values, by label values in the declared order."""
        family: Any = GaugeMetricFamily(self.name, self.help, labels=tuple(self.labels))
        for values, number in samples.items():
            family.add_metric(values, number)
        return family  # type: ignore[no-any-return]
