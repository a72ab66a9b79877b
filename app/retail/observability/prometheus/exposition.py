"""The text that Prometheus reads, and who may read it."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from retail.observability.prometheus import catalogue, slots
from retail.observability.prometheus.instruments import telemetry

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from retail.observability.prometheus.instruments import DatabaseGauge

CACHE_SECONDS = 5.0

Samples = Mapping["DatabaseGauge", Mapping[tuple[str, ...], float]]
"""Values of gauges, by label values in the order the catalogue declares them."""

logger = logging.getLogger("retail.observability")


@dataclass
class _Source:
    """Where gauge is read, how often at most (seconds), and what the last reading found."""

    read: Callable[[], Samples]
    every: float
    read_at: float = float("-inf")
    found: Samples = field(default_factory=dict)


class DatabaseCollector(Collector):
    """Gauges that are read from the database when asked for.

    A source that fails is left out until it can be read again (an old number would be a lie),
    counted and logged; the scrape itself never fails.
    """

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._lock = threading.Lock()

    def add(self, name: str, read: Callable[[], Samples], *, every: float = CACHE_SECONDS) -> None:
        """Ask `read` for values at a scrape, at most `every` so many seconds; a name replaces."""
        self._sources[name] = _Source(read, every)

    def forget(self) -> None:
        """Read everything anew at the next scrape."""
        for source in self._sources.values():
            source.read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the families; several sources may have samples of one metric."""
        merged: dict[DatabaseGauge, dict[tuple[str, ...], float]] = {}
        with self._lock:
            for name, source in self._sources.items():
                if time.monotonic() - source.read_at >= source.every:
                    source.found = self._read(name, source)
                    source.read_at = time.monotonic()
                for gauge, samples in source.found.items():
                    merged.setdefault(gauge, {}).update(samples)
        return [gauge.family(samples) for gauge, samples in merged.items()]

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


def render(accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type; OpenMetrics, with exemplars, if `accept` asks."""
    registry = REGISTRY
    if slots.folder() is not None:
        slots.forget_dead_gauges()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(slots.folder()))  # type: ignore[no-untyped-call]
        registry.register(database_gauges)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def may_read(authorization: str, token: str, *, debug: bool) -> bool:
    """Whether `authorization` (the header) carries the bearer token.

    Without a token, reading is open in development and closed elsewhere.
    """
    if not token:
        return debug
    scheme, _, offered = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        offered.strip().encode(), token.encode()
    )
