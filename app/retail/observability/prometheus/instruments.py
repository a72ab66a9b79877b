"""Counters, gauges and histograms with closed label sets.

A thin layer over prometheus_client with three guarantees: a label value outside the declared set
never creates a series, telemetry never breaks the code it observes, and a failure to record is
counted in `retail_telemetry_errors_total`. With `strict` on (tests), a mistake raises instead.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from retail.observability.prometheus import slots  # selects the metric storage, so import it first

if TYPE_CHECKING:
    from prometheus_client.core import Metric

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_EXEMPLARS = slots.folder() is None  # multiprocess files cannot store exemplars

EXEMPLAR_SECONDS = 1.0  # minimum interval between two exemplars of a bucket

Child = TypeVar("Child")


class UnknownLabelError(ValueError):
    """An undeclared label or label value."""


@dataclass
class _Telemetry:
    """State shared by all instruments: strict mode, and the error counter."""

    strict: bool = False
    errors: Counter | None = None


telemetry = _Telemetry()


class LabelValues(Collection[str]):
    """Values of a label to which several apps add.

    Adding a value also creates the series of the metrics that use it, so that `increase()` sees
    the first event.
    """

    def __init__(self) -> None:
        self._values: dict[str, None] = {}
        self._instruments: list[Instrument[Any]] = []

    def add(self, *values: str) -> None:
        """Add values, ignoring those already added."""
        self._values.update(dict.fromkeys(values))
        for instrument in self._instruments:
            instrument.prepare()

    def used_by(self, instrument: Instrument[Any]) -> None:
        """Create the series of `instrument` whenever a value is added."""
        self._instruments.append(instrument)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


Labels = Mapping[str, Collection[str] | None]
"""Allowed values by label; None if only code determines them (names of views)."""

declared: dict[str, Instrument[Any] | DatabaseGauge] = {}
"""Every metric, by name, in the order of declaration."""


@dataclass(eq=False)
class Instrument(Generic[Child]):
    """A metric: name, help text, and labels with their allowed values."""

    name: str
    help: str
    labels: Labels = field(default_factory=dict)
    prepared: bool = True  # create every series at start, so that increase() sees the first event
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "counter"

    def __post_init__(self) -> None:
        """Declare the metric to prometheus_client and create its series."""
        declared[self.name] = self
        self._names = tuple(self.labels)
        self._children: dict[tuple[str, ...], Child] = {}
        self._single: Child | None = None  # the child of a metric without labels
        self._parent = self._declare()
        for values in self.labels.values():
            if isinstance(values, LabelValues):
                values.used_by(self)
        self.prepare()

    def prepare(self) -> None:
        """Create all missing series, unless series are created on first use."""
        sets = [values for values in self.labels.values() if values is not None]
        if self.prepared and len(sets) == len(self.labels):
            for combination in itertools.product(*sets):
                if combination not in self._children:
                    self._create(combination)

    def create(self, **labels: str) -> None:
        """Create one series of a metric that is not prepared, so that its first event is seen."""
        self._child(labels)

    def _declare(self) -> Any:
        raise NotImplementedError

    def _create(self, combination: tuple[str, ...]) -> Child:
        child: Child = self._parent.labels(*combination) if combination else self._parent
        self._children[combination] = child
        if not combination:
            self._single = child
        return child

    def _child(self, labels: dict[str, str]) -> Child:
        """Return the child for these labels.

        Raises UnknownLabelError for an undeclared label or value.
        """
        if not labels and self._single is not None:  # fast path: no labels
            return self._single
        if tuple(labels) == self._names:  # fast path: labels in declared order
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
                raise UnknownLabelError(f"{self.name}: {name}={value!r} is not declared")
        return self._children.get(combination) or self._create(combination)

    def _failed(self) -> None:
        """Raise the current exception in strict mode (tests); otherwise count it."""
        if telemetry.strict:
            raise  # noqa: PLE0704 - called from except blocks only
        if telemetry.errors is not None and telemetry.errors is not self:
            telemetry.errors.inc(sink="metrics")


class Counter(Instrument[prometheus_client.Counter]):
    """Counts events."""

    def _declare(self) -> prometheus_client.Counter:
        return prometheus_client.Counter(self.name, self.help, tuple(self.labels))

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`, which must not be negative."""
        try:
            self._child(labels).inc(amount)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()


class LossCounter(Counter):
    """Counts losses, and remembers the time of this process's last one."""

    last_at: float | None = None

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`, which must not be negative."""
        self.last_at = time.time()
        super().inc(amount, **labels)


@dataclass(eq=False)
class Gauge(Instrument[prometheus_client.Gauge]):
    """A current value of this process. `mode` defines how values of several processes combine."""

    mode: Literal["livesum", "livemax", "mostrecent"] = "livesum"
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "gauge"

    def _declare(self) -> prometheus_client.Gauge:
        return prometheus_client.Gauge(
            self.name, self.help, tuple(self.labels), multiprocess_mode=self.mode
        )

    def inc(self, amount: float = 1, **labels: str) -> None:
        """Add `amount`, which may be negative."""
        try:
            self._child(labels).inc(amount)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()

    def set(self, value: float, **labels: str) -> None:
        """Set the value."""
        try:
            self._child(labels).set(value)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()


@dataclass(eq=False)
class Histogram(Instrument[prometheus_client.Histogram]):
    """Counts observations by size, in base units (seconds)."""

    buckets: tuple[float, ...] = prometheus_client.Histogram.DEFAULT_BUCKETS
    kind: Literal["counter", "gauge", "histogram", "gauge (database)"] = "histogram"

    def __post_init__(self) -> None:
        """Declare the metric."""
        self._exemplar_at: dict[tuple[prometheus_client.Histogram, int], float] = {}
        super().__post_init__()

    def _declare(self) -> prometheus_client.Histogram:
        return prometheus_client.Histogram(
            self.name, self.help, tuple(self.labels), buckets=self.buckets
        )

    def observe(self, value: float, request_id: str = "", **labels: str) -> None:
        """Record an observation, with `request_id` as an exemplar.

        Each bucket gets at most one exemplar per second, because exemplars are expensive.
        """
        try:
            self._observe(self._child(labels), value, request_id)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()

    def observe_at(self, combination: tuple[str, ...], value: float, request_id: str) -> None:
        """Record an observation like `observe`, with the labels' values in declared order."""
        try:
            child = self._children.get(combination)
            if child is None:
                child = self._child(dict(zip(self._names, combination, strict=True)))
            self._observe(child, value, request_id)
        except Exception:  # noqa: BLE001 - telemetry never breaks a sale
            self._failed()

    def _observe(self, child: prometheus_client.Histogram, value: float, request_id: str) -> None:
        if request_id and _EXEMPLARS and self._wants_exemplar(child, value):
            child.observe(value, {"request_id": request_id})
        else:
            child.observe(value)

    def _wants_exemplar(self, child: prometheus_client.Histogram, value: float) -> bool:
        bucket, now = (child, bisect_left(self.buckets, value)), time.monotonic()
        if now - self._exemplar_at.get(bucket, -EXEMPLAR_SECONDS) < EXEMPLAR_SECONDS:
            return False
        self._exemplar_at[bucket] = now
        return True


@dataclass(frozen=True, eq=False)
class DatabaseGauge:
    """A gauge whose value is read from the database at scrape time."""

    name: str
    help: str
    labels: Labels = field(default_factory=dict)
    kind: str = "gauge (database)"

    def __post_init__(self) -> None:
        """Declare the metric."""
        declared[self.name] = self

    def family(self, samples: Mapping[tuple[str, ...], float]) -> Metric:
        """Return the metric family with these values, by label values in declared order."""
        family: Any = GaugeMetricFamily(self.name, self.help, labels=tuple(self.labels))
        for values, number in samples.items():
            family.add_metric(values, number)
        return family  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class DatabaseCounter(DatabaseGauge):
    """A counter whose total is read from the database at scrape time: a sum that only rises."""

    kind: str = "counter (database)"

    def family(self, samples: Mapping[tuple[str, ...], float]) -> Metric:
        """Return the metric family with these totals, by label values in declared order."""
        family: Any = CounterMetricFamily(self.name, self.help, labels=tuple(self.labels))
        for values, number in samples.items():
            family.add_metric(values, number)
        return family  # type: ignore[no-any-return]
