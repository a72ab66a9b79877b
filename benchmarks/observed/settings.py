"""The shop's settings, watched in the way that the environment's WATCHING names.

`on` is the shop as it is. The others begin with everything taken away that watches (`off`) and put
something else in its place.
"""

import os

from config.settings import *  # noqa: F403 - the shop's settings are the point
from config.settings import CACHES, LOGGING, MIDDLEWARE
from retail import observability
from retail.db.backends.counting import CountingConnection
from retail.observability.prometheus import instruments
from retail.observability.rows import intervals, recorder

WATCHING = os.environ["WATCHING"]
ROOT_URLCONF = "benchmarks.observed.urls"

_OURS = "retail.observability.middleware.ObservabilityMiddleware"
_PEERS: dict[str, tuple[list[str], list[str]]] = {  # the first and the last middleware
    "on": ([_OURS], []),
    "off": ([], []),
    "control": ([], []),  # the same again: what differs from `off` is noise
    "django-prometheus": (
        ["django_prometheus.middleware.PrometheusBeforeMiddleware"],
        ["django_prometheus.middleware.PrometheusAfterMiddleware"],
    ),
    "otel-metrics": ([], []),  # OpenTelemetry puts its middleware there by itself
    "otel-spans": ([], []),
    "insert": (["benchmarks.observed.inserting.InsertingMiddleware"], []),
}
FIRST, LAST = _PEERS[WATCHING]


def _nothing(*_arguments: object, **_labels: object) -> None:
    """Stand in for what records."""


if WATCHING != "on":
    # The shop's own way to look after its connections stays: it watches nothing.
    del CountingConnection.__init__  # it only adds the wrapper that counts statements
    CACHES["default"]["BACKEND"] = "django.core.cache.backends.locmem.LocMemCache"
    # Not no handler at all: django-q would bring its own then.
    LOGGING["handlers"]["nowhere"] = {"class": "logging.NullHandler"}
    LOGGING["root"] = {"level": "CRITICAL", "handlers": ["nowhere"]}
    for _logger in LOGGING["loggers"].values():
        _logger["level"] = "CRITICAL"
    # Before the shop's modules import it; what moves counters has no other switch either.
    observability.record_metric = _nothing
    for _instrument in (instruments.Counter, instruments.Gauge, instruments.Histogram):
        for _name in ("inc", "set", "observe"):
            if hasattr(_instrument, _name):
                setattr(_instrument, _name, _nothing)
    recorder.Recorder.add = _nothing  # type: ignore[method-assign]
    intervals.Intervals.add_breaker_state = _nothing  # type: ignore[method-assign]

_place = MIDDLEWARE.index(_OURS)
MIDDLEWARE = [*MIDDLEWARE[:_place], *FIRST, *MIDDLEWARE[_place + 1 :], *LAST]
