"""Prometheus exposition, database gauges, and access to them."""

from __future__ import annotations

import hmac
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from retail.observability.background import SharedRead
from retail.observability.prometheus import catalogue, slots
from retail.observability.prometheus.instruments import telemetry

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from retail.observability.prometheus.instruments import DatabaseGauge

CACHE_SECONDS = 5.0
WAIT_SECONDS = 1.0  # a scrape waits this long for the database

Samples = Mapping["DatabaseGauge", Mapping[tuple[str, ...], float]]
"""Values by gauge and by label values, in declared order."""

logger = logging.getLogger("retail.observability")


@dataclass
class _Source:
    """A function that reads gauges, its minimum interval in seconds, and its last result."""

    read: Callable[[], Samples]
    every: float
    read_at: float = float("-inf")
    samples: Samples = field(default_factory=dict)


class DatabaseCollector(Collector):
    """Collects gauges from the database at scrape time.

    A source that fails, or is not read in time, is left out, because its last values may be
    outdated. This is counted and logged, and the scrape succeeds. Sources are read in a thread of
    their own, so that a database that hangs holds no thread that answers requests.
    """

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self.refresh = SharedRead(self._read_due)

    def add(self, name: str, read: Callable[[], Samples], *, every: float = CACHE_SECONDS) -> None:
        """Add or replace a source, which is read at most once in `every` seconds."""
        self._sources[name] = _Source(read, every)

    def forget(self) -> None:
        """Discard cached values, so that the next scrape reads every source."""
        for source in self._sources.values():
            source.read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registration does not read the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the metric families, merging sources that share a metric."""
        merged: dict[DatabaseGauge, dict[tuple[str, ...], float]] = {}
        began = time.monotonic()
        if self._due(began):
            try:
                self.refresh.result(WAIT_SECONDS)
            except TimeoutError:
                late = [name for name, _ in self._due(began)]
                catalogue.TELEMETRY_ERRORS.inc(sink="collector")
                logger.warning("event=metrics.database_late", extra={"sources": late})
        for source in self._sources.values():
            if began - source.read_at < source.every:
                for gauge, samples in source.samples.items():
                    merged.setdefault(gauge, {}).update(samples)
        return [gauge.family(samples) for gauge, samples in merged.items()]

    def _due(self, now: float) -> list[tuple[str, _Source]]:
        return [
            (name, source)
            for name, source in self._sources.items()
            if now - source.read_at >= source.every
        ]

    def _read_due(self) -> None:
        for name, source in self._due(time.monotonic()):
            source.samples = self._read(name, source)
            source.read_at = time.monotonic()

    def _read(self, name: str, source: _Source) -> Samples:
        try:
            return {
                gauge: {labels: float(value) for labels, value in samples.items()}
                for gauge, samples in source.read().items()
            }
        except Exception:
            catalogue.TELEMETRY_ERRORS.inc(sink="collector")
            logger.exception("event=metrics.source_failed", extra={"source": name})
            if telemetry.strict:
                raise
            return {}


database_gauges = DatabaseCollector()
REGISTRY.register(database_gauges)


_VERSIONS = re.compile(r"version *=([^;,]*)")
_VERSION = re.compile(r" *[0-9]{1,4}(\.[0-9]{1,4}){0,2} *", re.ASCII)


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Return the format for an Accept header and its content type.

    prometheus_client raises for a version that is no number, and returns others in a header.
    """
    known = all(_VERSION.fullmatch(version) for version in _VERSIONS.findall(accept))
    return choose_encoder(accept if known else "")


def _registry_of(files: list[str]) -> CollectorRegistry:
    """Return a registry of all processes' metrics, and the database's."""
    registry = CollectorRegistry()
    registry.register(_MetricFiles(files))
    registry.register(database_gauges)
    return registry


class _MetricFiles(Collector):
    """Collects metric files."""

    def __init__(self, files: list[str]) -> None:
        self._files = files

    def collect(self) -> Iterable[Metric]:
        """Return the metric families. Raises if a file cannot be read."""
        if any(slots.used(Path(file)) < 0 for file in self._files):
            raise ValueError("a metric file begins with a negative number")
        return MultiProcessCollector.merge(self._files)  # type: ignore[no-any-return,no-untyped-call]

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registration does not read the files."""
        return []


def _report_broken(names: Iterable[str]) -> None:
    """Count and log metric files that cannot be read, and are left out."""
    for name in names:
        catalogue.TELEMETRY_ERRORS.inc(sink="metrics")
        logger.error("event=metrics.file_dropped", extra={"file": name})


def render(accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type; OpenMetrics if the client accepts it."""
    encode, content_type = _encoder(accept)
    catalogue.CLOCK.set(time.time())
    if slots.folder() is None:
        return encode(REGISTRY), content_type
    slots.forget_dead_gauges()
    _report_broken(slots.take_broken())
    files = slots.files()
    try:
        return encode(_registry_of(files)), content_type
    except Exception:
        whole = [file for file in files if slots.is_whole(file)]
        if whole == files:
            raise
    _report_broken(Path(file).name for file in files if file not in whole)
    return encode(_registry_of(whole)), content_type


def may_read(authorization: str, token: str, *, debug: bool) -> bool:
    """Return whether the Authorization header has the bearer token.

    If no token is configured, access is open in development and denied elsewhere.
    """
    if not token:
        return debug
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(), token.encode()
    )
