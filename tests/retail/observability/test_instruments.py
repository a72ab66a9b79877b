"""Closed label sets: a mistake raises in tests, is counted in production, creates no series."""

from collections import defaultdict
from typing import Any

import prometheus_client
import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from retail.observability.prometheus import instruments
from retail.observability.prometheus.instruments import (
    Counter,
    DatabaseCounter,
    DatabaseGauge,
    Gauge,
    Histogram,
    LabelValues,
    UnknownLabelError,
)
from tests.support import moved

pytestmark = pytest.mark.django_db  # moved() also reads the database's gauges

ERROR = 'retail_telemetry_errors_total{sink="metrics"}'
COLOURS = {"colour": ("red", "blue")}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """Use a separate registry for the metrics of a test."""
    own = CollectorRegistry()
    for name in ("Counter", "Gauge", "Histogram"):
        theirs = getattr(prometheus_client, name)

        def declare(*args: object, theirs: type = theirs, **kwargs: object) -> object:
            return theirs(*args, registry=own, **kwargs)

        monkeypatch.setattr(prometheus_client, name, declare)
    monkeypatch.setattr(instruments, "declared", {})
    return own


def series(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_sum"))
    }


MISTAKES = [
    pytest.param({"colour": "red", "size": "big"}, "things_total has no label size", id="unknown"),
    pytest.param({}, "things_total needs the label 'colour'", id="missing"),
    pytest.param({"size": "big"}, "things_total needs the label 'colour'", id="other"),
    pytest.param({"colour": "green"}, "things_total: colour='green' is not declared", id="value"),
]


@pytest.mark.parametrize(("labels", "message"), MISTAKES)
def test_a_mistake_with_labels_raises_in_tests(labels: Any, message: str) -> None:
    with pytest.raises(UnknownLabelError) as raised:
        Counter("things_total", "Things.", COLOURS).inc(**labels)
    assert str(raised.value) == message


@pytest.mark.parametrize(("labels", "message"), MISTAKES)
def test_a_mistake_with_labels_is_counted_in_production_and_creates_no_series(
    labels: Any, message: str, forgiving: None, registry: CollectorRegistry
) -> None:
    counter = Counter("things_total", "Things.", COLOURS)
    gauge = Gauge("thing_now", "Things.", COLOURS)
    histogram = Histogram("thing_seconds", "Things.", COLOURS)
    before = series(registry)
    with moved() as changes:
        counter.inc(**labels)
        gauge.set(1, **labels)
        gauge.inc(1, **labels)
        histogram.observe(1, **labels)
    assert changes == {ERROR: 4}
    assert series(registry) == before
    assert set(before.values()) == {0}


def test_a_counter_is_not_decreased(forgiving: None, registry: CollectorRegistry) -> None:
    counter = Counter("things_total", "Things.")
    with moved() as changes:
        counter.inc(-1)
    assert changes == {ERROR: 1}
    assert series(registry) == {("things_total", ()): 0}


def test_the_error_counter_does_not_count_its_own_errors(forgiving: None) -> None:
    with moved() as changes:
        instruments.telemetry.errors.inc(sink="nonsense")  # type: ignore[union-attr]
    assert changes == {}


def test_series_are_created_at_start_so_that_the_first_event_is_an_increase(
    registry: CollectorRegistry,
) -> None:
    counter = Counter("things_total", "Things.", {**COLOURS, "size": ("big",)})
    assert series(registry) == {
        ("things_total", ("red", "big")): 0,
        ("things_total", ("blue", "big")): 0,
    }
    counter.inc(2, size="big", colour="blue")  # in any order
    assert series(registry)["things_total", ("blue", "big")] == 2


@pytest.mark.parametrize(
    ("labels", "prepared"), [(COLOURS, False), ({"view": None}, True)], ids=["asked", "open"]
)
def test_series_are_not_created_at_start_if_many_or_unknown(
    registry: CollectorRegistry, labels: instruments.Labels, prepared: bool
) -> None:
    histogram = Histogram("thing_seconds", "Things.", labels, prepared=prepared)
    assert series(registry) == {}
    histogram.observe(0.3, **dict.fromkeys(labels, "red"))
    assert series(registry) == {("thing_seconds_count", ("red",)): 1}


def test_gauges_are_increased_decreased_and_set(registry: CollectorRegistry) -> None:
    gauge = Gauge("thing_now", "Things.")
    gauge.inc()
    gauge.inc()
    gauge.inc(-1)
    assert series(registry) == {("thing_now", ()): 1}
    gauge.set(7.5)
    assert series(registry) == {("thing_now", ()): 7.5}


def test_an_observation_has_its_request_as_an_exemplar(registry: CollectorRegistry) -> None:
    histogram = Histogram("thing_seconds", "Things.", buckets=(1, 2))
    histogram.observe(1.5, "request-1")
    histogram.observe(5)
    (family,) = registry.collect()
    exemplars = {
        sample.labels["le"]: sample.exemplar.labels
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.exemplar
    }
    assert exemplars == {"2.0": {"request_id": "request-1"}}


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.5, 1.0, 1.0000001, 2.0, 2.5, 1e9, float("inf")])
def test_the_fast_path_to_a_child_counts_like_the_library(
    registry: CollectorRegistry, value: float
) -> None:
    ours = Histogram("ours_seconds", "o", {"kind": ("a",)}, buckets=(1, 2))
    theirs = prometheus_client.Histogram("theirs_seconds", "t", ["kind"], buckets=(1, 2))
    count = Counter("ours_total", "o")
    ours.observe(value, kind="a")
    theirs.labels("a").observe(value)
    count.inc(abs(value))
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for family in registry.collect():
        for sample in family.samples:
            values[sample.name][sample.labels.get("le", "")] = sample.value
    for part in ("bucket", "count", "sum"):
        assert values[f"ours_seconds_{part}"] == values[f"theirs_seconds_{part}"]
    assert values["ours_total"] == {"": abs(value)}


def test_each_bucket_gets_one_exemplar_per_second(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("retail.observability.prometheus.instruments.time.monotonic", lambda: now)
    waits = Histogram("waits_seconds", "w", {"kind": ("a", "b")}, buckets=(1, 2))

    def exemplars() -> list[tuple[str, str, str]]:
        return [
            (sample.labels["kind"], sample.labels["le"], sample.exemplar.labels["request_id"])
            for family in registry.collect()
            for sample in family.samples
            if sample.exemplar
        ]

    waits.observe(0.5, "first", kind="a")
    waits.observe(1.0, "second", kind="a")
    waits.observe(1.5, "slower", kind="a")
    waits.observe(0.5, "other", kind="b")
    now += 0.999
    waits.observe(0.5, "third", kind="a")
    seen = [("a", "1.0", "first"), ("a", "2.0", "slower"), ("b", "1.0", "other")]
    assert exemplars() == seen
    now += 0.001
    waits.observe(0.5, "fourth", kind="a")
    assert exemplars() == [("a", "1.0", "fourth"), *seen[1:]]
    assert registry.get_sample_value("waits_seconds_sum", {"kind": "a"}) == 0.5 * 3 + 1.0 + 1.5
    counts = [
        registry.get_sample_value("waits_seconds_bucket", {"kind": "a", "le": le})
        for le in ("1.0", "2.0", "+Inf")
    ]
    assert counts == [4, 5, 5]


def test_a_value_added_later_creates_its_series_immediately(
    registry: CollectorRegistry,
) -> None:
    colours = LabelValues()
    counter = Counter("things_total", "Things.", {"colour": colours, "size": ("big",)})
    first_use = Counter("rest_total", "The rest.", {"colour": colours}, prepared=False)
    colours.add("red")
    colours.add("red", "blue")
    assert series(registry) == {
        ("things_total", ("red", "big")): 0,
        ("things_total", ("blue", "big")): 0,
    }
    counter.inc(colour="blue", size="big")
    first_use.inc(colour="red")
    with pytest.raises(UnknownLabelError):
        counter.inc(colour="green", size="big")
    assert series(registry) == {
        ("things_total", ("red", "big")): 0,
        ("things_total", ("blue", "big")): 1,
        ("rest_total", ("red",)): 1,
    }


def test_a_database_gauge_has_its_labels_in_the_declared_order() -> None:
    gauge = DatabaseGauge("thing_now", "Things.", {**COLOURS, "size": ("big",)})
    family = gauge.family({("red", "big"): 3.0})
    assert family.type == "gauge"
    assert [(s.name, s.labels, s.value) for s in family.samples] == [
        ("thing_now", {"colour": "red", "size": "big"}, 3.0)
    ]


def test_a_database_counter_is_exported_as_a_counter() -> None:
    counter = DatabaseCounter("things_total", "Things.", COLOURS)
    family = counter.family({("red",): 3.0})
    assert family.type == "counter"
    assert [(s.name, s.labels, s.value) for s in family.samples] == [
        ("things_total", {"colour": "red"}, 3.0)
    ]


def test_the_tests_own_metrics_stay_out_of_the_shops_registry() -> None:
    assert not [family for family in REGISTRY.collect() if family.name.startswith("thing")]
