"""Every metric of the shop, declared once (docs/metrics.md is written from here).

Names, types and labels are promises: dashboards, alerts and runbooks use them.
"""

from collections.abc import Iterator

from retail.observability.prometheus.instruments import (
    Counter,
    DatabaseGauge,
    Gauge,
    Histogram,
    telemetry,
)
from retail.thresholds import THRESHOLDS, in_words

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
ORDER_OUTCOMES = (
    "confirmed",
    "sold_out",
    "payment_declined",
    "payment_unavailable",
    "payment_unknown",
    "conflict",
    "cancelled",
)
# A checkout can also end with its payment still to come, since a flash sale charges in the
# background, or in an error of the shop.
CHECKOUT_OUTCOMES = (*ORDER_OUTCOMES, "pending", "error")
CALL_OUTCOMES = ("approved", "declined", "error", "timeout")
BREAKER_STATES = ("closed", "open", "half_open")
BREAKERS = ("payments",)
CURRENCIES = ("EUR", "GBP", "USD")
INVARIANTS = (
    "ledger_equals_stock",
    "sold_within_offered",
    "confirmed_sale_is_paid_once",
    "charge_has_payment",
    "payment_has_charge",
    "refunds_within_captured",
    "pending_within_deadline",
)
TASKS = (
    "settle_payments",
    "send_confirmation",
    "roll_up_metrics",
    "prune_metrics",
    "prune_carts",
    "prune_sessions",
    "prune_alerts",
    "run_audit",
    "judge_scenarios",
)
# Of docs/QS-Catalog.md, in its order.
SCENARIOS = ("A1", "A2", "S1", "S2", "M1", "M2", "P1", "P2", "I1", "I2", "T1", "T2", "U1", "U2")
THROTTLE_SCOPES = ("checkout", "login", "password_reset")
SINKS = ("metrics", "rows", "collector", "log", "audit")

_AUDIT_AGE = in_words(THRESHOLDS.invariants.stale_after_seconds)
_VERDICT_AGE = in_words(THRESHOLDS.quality_scenarios.keep_seconds)
_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_USUAL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

HTTP_DURATION = Histogram(
    "retail_http_request_duration_seconds",
    "Time to answer a request, by view, method and class of status.",
    {"view": None, "method": METHODS, "status": STATUS_CLASSES},
    prepared=False,
    buckets=_USUAL,
)
HTTP_IN_PROGRESS = Gauge(
    "retail_http_requests_in_progress",
    "Requests being answered now.",
    mode="livesum",
)
ORDERS = Counter(
    "retail_orders_total",
    "Orders by how they ended, counted when the database had committed it. One whose payment got "
    "no answer counts as payment_unknown, and once more when it ends.",
    {"outcome": ORDER_OUTCOMES},
)
ORDER_REVENUE = Counter(
    "retail_order_revenue_total",
    "Money taken by confirmed orders, in units of the currency.",
    {"currency": CURRENCIES},
)
CHECKOUT_DURATION = Histogram(
    "retail_checkout_duration_seconds",
    "Time from the buyer's click to the shop's answer.",
    {"kind": ("cart", "flash"), "outcome": CHECKOUT_OUTCOMES},
    buckets=_USUAL,
)
PAYMENTS = Counter(
    "retail_payments_total",
    "Payments settled for good.",
    {"outcome": ("completed", "failed")},
)
PAYMENT_ATTEMPTS = Counter(
    "retail_payment_attempts_total",
    "Calls that charge at the gateway, and those the circuit breaker held back.",
    {"outcome": (*CALL_OUTCOMES, "short_circuited")},
)
PAYMENT_DURATION = Histogram(
    "retail_payment_duration_seconds",
    "Time a charging call to the gateway took.",
    {"outcome": CALL_OUTCOMES},
    buckets=_USUAL,
)
FAST_FAIL_DURATION = Histogram(
    "retail_fast_fail_duration_seconds",
    "Whole request of a buyer who was refused because the circuit breaker was open.",
    buckets=_QUICK,
)
PAYMENTS_UNKNOWN = DatabaseGauge(
    "retail_payments_unknown",
    "Payments whose outcome the gateway has not told yet.",
)
PAYMENTS_UNKNOWN_OLDEST = DatabaseGauge(
    "retail_payments_unknown_oldest_seconds",
    "Age of the oldest payment whose outcome is unknown; 0 without one.",
)
BREAKER_STATE = DatabaseGauge(
    "retail_circuit_breaker_state",
    "1 for the state the circuit breaker is in, 0 for the others.",
    {"breaker": BREAKERS, "state": BREAKER_STATES},
)
BREAKER_TRANSITIONS = Counter(
    "retail_circuit_breaker_transitions_total",
    "Changes of the circuit breaker's state, by the state it changed to.",
    {"breaker": BREAKERS, "to": BREAKER_STATES},
)
STOCK_CONFLICTS = Counter(
    "retail_stock_conflicts_total",
    "Checkouts that the database's own constraint had to refuse: a bug upstream.",
)
SOLD_OUT = Counter(
    "retail_sold_out_total",
    "Checkouts refused because the stock was gone: the protection at work.",
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
SCENARIO_PASSING = DatabaseGauge(
    "retail_quality_scenario_passing",
    "1 while a quality scenario's last verdict is a pass, 0 while it is a fail; absent without "
    f"evidence, without a verdict in the last {_VERDICT_AGE}, and for those that tests prove.",
    {"scenario": SCENARIOS},
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


def entries() -> Iterator[Counter | Gauge | Histogram | DatabaseGauge]:
    """Yield every metric of the catalogue, in the order of declaration."""
    for value in globals().values():
        if isinstance(value, Counter | Gauge | Histogram | DatabaseGauge):
            yield value
