"""The text that Prometheus reads, and who may read it."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from retail.observability import catalogue, slots
from retail.observability.instruments import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from retail.observability.instruments import Truth

CACHE_SECONDS = 5.0

logger = logging.getLogger("retail.observability")


class TruthCollector(Collector):
    """Gauges that are read from the database when asked for.

    Each source is read at most every `CACHE_SECONDS`. A source that fails is left out of that
    scrape (an old number would be a lie), counted and logged; the scrape itself never fails.
    """

    def __init__(self) -> None:
        self._sources: dict[str, Callable[[], Mapping[Truth, Mapping[tuple[str, ...], float]]]] = {}
        self._lock = threading.Lock()
        self._families: list[Metric] = []
        self._read_at = float("-inf")

    def add(
        self, name: str, read: Callable[[], Mapping[Truth, Mapping[tuple[str, ...], float]]]
    ) -> None:
        """Ask `read` for values at each scrape; the same name replaces."""
        self._sources[name] = read

    def forget(self) -> None:
        """Read anew at the next scrape."""
        self._read_at = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not read the database."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the families, at most `CACHE_SECONDS` old."""
        with self._lock:
            if time.monotonic() - self._read_at >= CACHE_SECONDS:
                self._families = self._read_all()
                self._read_at = time.monotonic()
            return list(self._families)

    def _read_all(self) -> list[Metric]:
        """Read all sources; several may have samples of one metric."""
        found: dict[Truth, dict[tuple[str, ...], float]] = {}
        for name in self._sources:
            for truth, samples in self._read(name).items():
                found.setdefault(truth, {}).update(samples)
        return [truth.family(samples) for truth, samples in found.items()]

    def _read(self, name: str) -> Mapping[Truth, Mapping[tuple[str, ...], float]]:
        try:
            return {
                truth: {labels: float(value) for labels, value in samples.items()}
                for truth, samples in self._sources[name]().items()
            }
        except Exception:
            catalogue.TELEMETRY_ERRORS.inc(sink="collector")
            logger.exception("event=metrics.source_failed", extra={"source": name})
            if telemetry.strict:
                raise
            return {}


truths = TruthCollector()
REGISTRY.register(truths)


def render(accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type; OpenMetrics, with exemplars, if `accept` asks."""
    registry = REGISTRY
    if slots.folder() is not None:
        slots.forget_dead_gauges()
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(slots.folder()))  # type: ignore[no-untyped-call]
        registry.register(truths)
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
