"""Metrics shared by all apps, and the label values that apps add to.

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
    LossCounter,
    declared,
    telemetry,
)
from retail.thresholds import THRESHOLDS, in_words

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
SINKS = ("metrics", "rows", "collector", "log", "audit", "security", "proxy")
# What the trail of security events records (retail/security).
SECURITY_EVENTS = (
    *("log_in", "log_out", "account_created", "password_changed", "email_changed"),
    *("reset_requested", "reset_used", "rights_changed", "session_ended"),
    *("email_change_asked", "email_confirmed", "data_exported", "account_erased"),
    *("factor_added", "factor_removed", "factor_used"),
    *("admin_added", "admin_changed", "admin_deleted", "breaker_forced", "breaker_released"),
)

TASKS = LabelValues()  # added by `retail.jobs.job`
PERIODIC_TASKS = LabelValues()  # those of them that declare an interval
INVARIANTS = LabelValues()  # added by `retail.audit.declare.invariant`
UNMATCHED, UNNAMED = "unmatched", "unnamed"  # an unknown address, a route without a name
VIEWS = LabelValues()  # the names of all routes are added when the web process starts
VIEWS.add(UNMATCHED, UNNAMED)
THROTTLE_SCOPES = LabelValues()  # added by the app whose requests are throttled
PROXY_PAGES = LabelValues()  # added by `retail.web.proxy_log.count_posts`
PROXY_PAGES.add("other")
PROXY_STATUSES = ("4xx", "5xx")

# Bucket bounds in seconds. They include the objectives: 0.1 for refusals, 1 for responses.
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
USUAL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

_AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)

HTTP_DURATION = Histogram(
    "retail_http_request_duration_seconds",
    "Time from a request's arrival to its answer, whatever answered it, by view, method and status "
    "class. Without probes, static files and what staff's monitoring pages request by themselves.",
    {"view": None, "method": METHODS, "status": STATUS_CLASSES},
    prepared=False,
    buckets=USUAL,
)
HTTP_ERRORS = Counter(
    "retail_http_errors_total",
    "Requests answered with 5xx, by view.",
    {"view": VIEWS},
)
PROXY_ANSWERS = Counter(
    "retail_proxy_answers_total",
    "Errors that the proxy answered by itself, because web did not answer or a limit was exceeded. "
    "A page's own name stands for POSTs of it. Every worker counts all of them: aggregate with max "
    "over the workers, not with sum.",
    {"page": PROXY_PAGES, "status": PROXY_STATUSES},
)
HTTP_IN_PROGRESS = Gauge(
    "retail_http_requests_in_progress",
    "Requests being processed.",
    mode="livesum",
)
FAST_FAIL_DURATION = Histogram(
    "retail_fast_fail_duration_seconds",
    "Duration of requests refused because the circuit breaker was open.",
    buckets=QUICK,
)
OVERSOLD_UNITS = DatabaseGauge(
    "retail_oversold_units",
    "Units in paid orders, also those cancelled later, beyond what was ever put on sale, at first "
    f"or again. Must be 0; absent if the audit has not run for {_AUDIT_AGE}.",
)
INVARIANT_VIOLATIONS = DatabaseGauge(
    "retail_invariant_violations",
    "Open violations found by the audit, by invariant. Must be 0; absent if the audit has not run "
    f"for {_AUDIT_AGE}.",
    {"invariant": INVARIANTS},
)
THROTTLED = Counter(
    "retail_throttled_requests_total",
    "Requests refused by a rate limit.",
    {"scope": THROTTLE_SCOPES},
)
JOBS = Counter(
    "retail_jobs_total",
    "Runs of background jobs. A run that was killed has failed.",
    {"task": TASKS, "outcome": ("succeeded", "failed")},
)
JOB_DURATION = Histogram(
    "retail_job_duration_seconds",
    "Duration of background jobs.",
    {"task": TASKS, "outcome": ("succeeded", "failed")},
    prepared=False,
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120),
)
JOBS_WAITING = DatabaseGauge("retail_jobs_waiting", "Background jobs waiting to start.")
JOBS_OLDEST_WAITING = DatabaseGauge(
    "retail_jobs_oldest_waiting_seconds",
    "Time that the oldest background job has been waiting; 0 if none is.",
)
JOB_LAST_SUCCESS = DatabaseGauge(
    "retail_job_last_success_timestamp_seconds",
    "Time of the last success of a periodic job; before its first success, when it was first due.",
    {"task": PERIODIC_TASKS},
)
JOB_MOST_AGE = DatabaseGauge(
    "retail_job_most_age_seconds",
    "Longest time that a periodic job may go without a success, as the job declares it.",
    {"task": PERIODIC_TASKS},
)
EMAILS = Counter(
    "retail_emails_total",
    "Attempts to send an e-mail, by outcome. A deferred one is tried again; the others are final.",
    {"outcome": ("sent", "deferred", "refused", "uncertain", "given_up", "not_needed")},
)
EMAILS_WAITING = DatabaseGauge(
    "retail_emails_waiting", "E-mails that the mail server has not accepted yet."
)
EMAILS_OLDEST_WAITING = DatabaseGauge(
    "retail_emails_oldest_waiting_seconds",
    "Age of the oldest e-mail that the mail server has not accepted yet; 0 if there is none.",
)
SECURITY = Counter(
    "retail_security_events_total",
    "Log-ins, failed log-ins, and changes that matter for security.",
    {"event": (*SECURITY_EVENTS, "log_in_failed", "factor_used_failed")},
)
BACKUP_LAST_SUCCESS = DatabaseGauge(
    "retail_backup_last_success_timestamp_seconds",
    "Time of the snapshot in the last good backup; without any, when the database was made.",
)
BACKUPS_EXPECTED = DatabaseGauge(
    "retail_backups_expected",
    "1 in production, where somebody must make backups; 0 in development and in a demo.",
)
METRIC_ROWS_DROPPED = Counter(
    "retail_metric_rows_dropped_total",
    "Metric rows dropped because the buffer was full or the database rejected them.",
)
TELEMETRY_ERRORS = LossCounter(
    "retail_telemetry_errors_total",
    "Failures of telemetry, audits and rate limit counts, and lost log lines. Sales are not "
    "affected.",
    {"sink": SINKS},
)
CLOCK = Gauge(
    "retail_clock_timestamp_seconds",
    "Clock of the process at the scrape.",
    mode="mostrecent",
)
BUILD_INFO = Gauge(
    "retail_build_info",
    "Always 1; the label has the running version.",
    {"version": None},
    mode="livemax",
)

telemetry.errors = TELEMETRY_ERRORS


def entries() -> Sequence[Instrument[Any] | DatabaseGauge]:
    """Return every metric of the shop, in the order of declaration."""
    return [metric for metric in declared.values() if metric.name.startswith("retail_")]
