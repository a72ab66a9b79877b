"""The ground floor's metrics, and the label values that apps add to.

Each app declares its own metrics in its `metrics.py`; `entries` returns all of them, and
docs/metrics.md is generated from it. Names, types and labels are an interface: dashboards, alerts
and runbooks use them.
"""

from collections.abc import Sequence
from typing import Any

from retail.observability.prometheus.instruments import (
    Counter,
    DatabaseGauge,
    Gauge,
    Histogram,
    Instrument,
    LabelValues,
    declared,
    telemetry,
)
from retail.thresholds import THRESHOLDS, in_words

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
SINKS = ("metrics", "rows", "collector", "log", "audit")

TASKS = LabelValues()  # added by `retail.jobs.job`
INVARIANTS = LabelValues()  # added by `retail.audit.declare.invariant`
THROTTLE_SCOPES = LabelValues()  # added by the app whose requests are throttled

# Bucket bounds in seconds. They include the objectives: 0.1 for refusals, 1 for answers.
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
USUAL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)

HTTP_DURATION = Histogram(
    "retail_http_request_duration_seconds",
    "Time to answer a request, by view, method and class of status.",
    {"view": None, "method": METHODS, "status": STATUS_CLASSES},
    prepared=False,
    buckets=USUAL,
)
HTTP_IN_PROGRESS = Gauge(
    "retail_http_requests_in_progress",
    "Requests being answered now.",
    mode="livesum",
)
FAST_FAIL_DURATION = Histogram(
    "retail_fast_fail_duration_seconds",
    "Whole request of a buyer who was refused because the circuit breaker was open.",
    buckets=QUICK,
)
OVERSOLD_UNITS = DatabaseGauge(
    "retail_oversold_units",
    "Units sold beyond what was ever put on sale, from the stock ledger. Must be 0; absent when "
    f"the audit has not looked for {_AUDIT_AGE}.",
)
INVARIANT_VIOLATIONS = DatabaseGauge(
    "retail_invariant_violations",
    "Rows that break a promise of the shop, by promise, as the audit found them. Must be 0; absent "
    f"when the audit has not looked for {_AUDIT_AGE}.",
    {"invariant": INVARIANTS},
)
THROTTLED = Counter(
    "retail_throttled_requests_total",
    "Requests refused because their sender asked too often.",
    {"scope": THROTTLE_SCOPES},
)
JOBS = Counter(
    "retail_jobs_total",
    "Background jobs run.",
    {"task": TASKS, "outcome": ("succeeded", "failed")},
)
JOB_DURATION = Histogram(
    "retail_job_duration_seconds",
    "Time a background job took.",
    {"task": TASKS, "outcome": ("succeeded", "failed")},
    prepared=False,
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120),
)
JOBS_WAITING = DatabaseGauge("retail_jobs_waiting", "Background jobs that nobody has begun yet.")
JOBS_OLDEST_WAITING = DatabaseGauge(
    "retail_jobs_oldest_waiting_seconds",
    "How long the oldest waiting background job has waited; 0 without one.",
)
METRIC_ROWS_DROPPED = Counter(
    "retail_metric_rows_dropped_total",
    "Rows for the in-app pages that could not be kept.",
)
TELEMETRY_ERRORS = Counter(
    "retail_telemetry_errors_total",
    "Failures of the watching itself; no sale was harmed.",
    {"sink": SINKS},
)
BUILD_INFO = Gauge(
    "retail_build_info",
    "Always 1; the label tells the version that runs.",
    {"version": None},
    mode="livemax",
)

telemetry.errors = TELEMETRY_ERRORS


def entries() -> Sequence[Instrument[Any] | DatabaseGauge]:
    """Return every metric of the shop, in the order of declaration."""
    return [metric for metric in declared.values() if metric.name.startswith("retail_")]
