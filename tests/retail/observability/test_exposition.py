"""Prometheus exposition: both formats, and gauges read from the database."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Mapping

import pytest
from django.test import Client
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from pytest_django import Settings

from retail.observability.background import SharedRead
from retail.observability.prometheus import catalogue, exposition
from retail.observability.prometheus.catalogue import (
    INVARIANT_VIOLATIONS,
    JOBS_WAITING,
    OVERSOLD_UNITS,
)
from retail.observability.prometheus.exposition import DatabaseCollector
from retail.observability.prometheus.instruments import DatabaseGauge
from tests.retail.conftest import Lines
from tests.support import moved

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Samples = Mapping[DatabaseGauge, Mapping[tuple[str, ...], float]]


@pytest.fixture(autouse=True)
def _open_to_all(settings: Settings) -> None:
    settings.METRICS_TOKEN = ""
    settings.DEBUG = True


class Clock:
    """Replaces the time module in the collector."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(exposition, "time", clock)
    return clock


def collected(collector: DatabaseCollector) -> dict[str, dict[tuple[str, ...], float]]:
    """Return samples by metric; fails if a metric comes twice."""
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in collector.collect():
        assert family.name not in samples
        samples[family.name] = {tuple(s.labels.values()): s.value for s in family.samples}
    return samples


def source(*answers: Samples | Exception) -> Callable[[], Samples]:
    """Return a source that returns the answers one after another."""
    waiting = list(answers)

    def read() -> Samples:
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read


def test_a_source_is_read_at_most_every_five_seconds(clock: Clock) -> None:
    collector = DatabaseCollector()
    collector.add("stock", source({OVERSOLD_UNITS: {(): 1}}, {OVERSOLD_UNITS: {(): 2}}))
    assert collected(collector) == {"retail_oversold_units": {(): 1}}
    clock.now += 4.9
    assert collected(collector) == {"retail_oversold_units": {(): 1}}
    clock.now += 0.1
    assert collected(collector) == {"retail_oversold_units": {(): 2}}


def test_cached_values_can_be_discarded(clock: Clock) -> None:
    collector = DatabaseCollector()
    collector.add("stock", source({OVERSOLD_UNITS: {(): 1}}, {OVERSOLD_UNITS: {(): 2}}))
    assert collected(collector) == {"retail_oversold_units": {(): 1}}
    collector.forget()
    assert collected(collector) == {"retail_oversold_units": {(): 2}}


def test_a_source_replaces_one_of_the_same_name(clock: Clock) -> None:
    collector = DatabaseCollector()
    collector.add("stock", source())
    collector.add("stock", source({OVERSOLD_UNITS: {(): 3}}))
    assert collected(collector) == {"retail_oversold_units": {(): 3}}


def test_two_sources_of_one_metric_make_one_family(clock: Clock) -> None:
    collector = DatabaseCollector()
    collector.add("a", source({INVARIANT_VIOLATIONS: {("ledger_equals_stock",): 1}}))
    collector.add("b", source({INVARIANT_VIOLATIONS: {("confirmed_sale_is_paid_once",): 2}}))
    assert collected(collector) == {
        "retail_invariant_violations": {
            ("ledger_equals_stock",): 1,
            ("confirmed_sale_is_paid_once",): 2,
        }
    }


@pytest.mark.django_db
def test_a_failing_source_is_left_out_counted_and_logged(
    clock: Clock, forgiving: None, lines: Lines
) -> None:
    collector = DatabaseCollector()
    good: Samples = {JOBS_WAITING: {(): 4.0}}
    stock: Samples = {OVERSOLD_UNITS: {(): 1.0}}
    collector.add("stock", source(stock, OSError("gone"), stock))
    collector.add("queue", source(good, good, good))
    both = {"retail_oversold_units": {(): 1}, "retail_jobs_waiting": {(): 4}}
    assert collected(collector) == both
    clock.now += 5
    with moved() as changes:
        # An outdated value would be wrong.
        assert collected(collector) == {"retail_jobs_waiting": {(): 4}}
    assert changes == {'retail_telemetry_errors_total{sink="collector"}': 1}
    (line,) = lines()
    assert line["message"] == "event=metrics.source_failed"
    assert line["extra"]["source"] == "stock"
    assert line["extra"]["traceback"].endswith("OSError: gone")
    clock.now += 5
    assert collected(collector) == both


def test_a_failing_source_raises_in_tests(clock: Clock) -> None:
    collector = DatabaseCollector()
    collector.add("stock", source(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        collector.collect()


@pytest.mark.django_db
def test_a_source_that_hangs_is_left_out_and_holds_no_caller(
    forgiving: None, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang() -> Samples:
        readers.append(threading.current_thread())
        reading.set()
        hanging.wait()
        return {OVERSOLD_UNITS: {(): 1.0}}

    reading, hanging = threading.Event(), threading.Event()
    readers: list[threading.Thread] = []
    collector = DatabaseCollector()
    collector.add("queue", lambda: {JOBS_WAITING: {(): 4.0}}, every=3600)
    collector.add("stock", hang, every=3600)
    monkeypatch.setattr(exposition, "WAIT_SECONDS", 0.01)
    with moved() as changes, monkeypatch.context() as threaded:
        threaded.setattr(SharedRead, "use_thread", True)
        with contextlib.suppress(TimeoutError):
            collector.refresh.result(0)
        reading.wait()
        assert collected(collector) == {"retail_jobs_waiting": {(): 4}}
    assert changes == {'retail_telemetry_errors_total{sink="collector"}': 1}
    (line,) = lines()
    late = {"sources": ["stock"]}
    assert (line["message"], line["extra"]) == ("event=metrics.database_late", late)
    [reader] = readers
    assert reader is not threading.current_thread()
    hanging.set()
    reader.join()
    both = {"retail_oversold_units": {(): 1}, "retail_jobs_waiting": {(): 4}}
    assert collected(collector) == both


@pytest.fixture
def broken_source(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        **exposition.database_gauges._sources,
        "queue": exposition._Source(source(OSError("gone")), 5),
    }
    monkeypatch.setattr(exposition.database_gauges, "_sources", sources)


@pytest.mark.django_db
def test_a_scrape_succeeds_with_a_failing_source(
    client: Client, forgiving: None, broken_source: None
) -> None:
    response = client.get("/metrics")
    assert response.status_code == 200
    body = response.content.decode()
    assert "\nretail_jobs_waiting" not in body
    assert "\nretail_payments_unknown 0.0\n" in body


@pytest.mark.django_db
def test_a_scrape_without_accept_header_is_text(client: Client) -> None:
    response = client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    body = response.content.decode()
    assert '\nretail_orders_total{outcome="conflict"} ' in body  # before any event: test_slots
    assert '\nretail_build_info{version="0.1.0"} 1.0\n' in body
    assert "_created{" not in body
    assert "_created " not in body
    assert {family.name for family in plain(body)} >= {"retail_orders", "retail_jobs_waiting"}


@pytest.mark.django_db
@pytest.mark.usefixtures("trusted_proxy")
def test_openmetrics_has_request_ids_as_exemplars(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retail.observability.prometheus.instruments.EXEMPLAR_SECONDS", 0)
    client.get("/products/", headers={"X-Request-ID": "the-slow-one"})
    response = client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert response.headers["Content-Type"] == f"{OPENMETRICS}; charset=utf-8; escaping=underscores"
    read = openmetrics(response.content.decode())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in read}
    exemplars = [
        sample.exemplar.labels
        for sample in families["retail_http_request_duration_seconds"].samples
        if sample.exemplar and sample.labels["view"] == "products:list"
    ]
    assert {"request_id": "the-slow-one"} in exemplars


@pytest.mark.django_db
def test_every_metric_of_the_catalogue_is_in_a_scrape(client: Client) -> None:
    client.get("/products/")
    catalogue.JOB_DURATION.observe(0.1, task="prune_carts", outcome="succeeded")
    families = {family.name for family in plain(client.get("/metrics").content.decode())}
    names = {entry.name.removesuffix("_total") for entry in catalogue.entries()}
    assert "retail_orders" in names
    assert names <= families


@pytest.mark.django_db
def test_promtool_accepts_the_metrics(client: Client, promtool: str) -> None:
    client.get("/products/")
    body = client.get("/metrics").content
    ours = b"".join(
        line
        for line in body.splitlines(keepends=True)
        if line.startswith((b"retail_", b"# HELP retail_", b"# TYPE retail_"))
    )
    assert ours.count(b"# TYPE retail_") >= len(list(catalogue.entries()))
    check = subprocess.run(
        [promtool, "check", "metrics"], input=ours, capture_output=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


@pytest.mark.django_db
def test_a_scrape_has_the_clock_of_the_process(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now in (1_000_000.0, 1_000_015.5):
        monkeypatch.setattr("time.time", lambda now=now: now)
        families = plain(client.get("/metrics").content.decode())
        [clock] = [family for family in families if family.name == catalogue.CLOCK.name]
        assert [sample.value for sample in clock.samples] == [now]
