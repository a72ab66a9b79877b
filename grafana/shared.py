"""Panels and expressions that several dashboards share."""

from alerts.model import span
from alerts.payments import ENOUGH_PAYMENTS
from grafana.parts import (
    BAD,
    CURRENCY_UNITS,
    GOOD,
    WARN,
    Json,
    at_least,
    link,
    mapping,
    not_below,
    override,
    query,
    series,
    stat,
    steps,
)
from retail.thresholds import THRESHOLDS, in_words

ERRORS = THRESHOLDS.error_rate
SUCCESS = THRESHOLDS.payment_success
TIMES = THRESHOLDS.response_time
ERROR_STEPS = steps((ERRORS.warning_ratio, WARN), (ERRORS.most_ratio, BAD))
TIME_STEPS = steps((TIMES.warning_seconds, WARN), (TIMES.most_seconds, BAD))
SUCCESS_STEPS = at_least(SUCCESS.warning_ratio, SUCCESS.least_ratio)
SUCCESS_LINES = not_below(SUCCESS.warning_ratio, SUCCESS.least_ratio)
HTTP = "retail_http_request_duration_seconds"
ERROR_WINDOW = span(ERRORS.window_seconds)
PAID_WINDOW = span(SUCCESS.window_seconds)
ERROR_PERIOD = in_words(ERRORS.window_seconds)
PAID_PERIOD = in_words(SUCCESS.window_seconds)
CURRENCIES = [override(name, unit=unit) for name, unit in CURRENCY_UNITS.items()]
SLOW = link("Logs of slow and failed requests", "retail-logs",
            "&var-logger=retail.observability&var-level=WARNING")  # fmt: skip

ERROR_RATE = f"service:retail_http_errors:ratio_rate{ERROR_WINDOW}"
SUCCESS_RATE = f"service:retail_payment_success:ratio_rate{PAID_WINDOW}"
BREAKER = (
    'max(retail_circuit_breaker_state{state="half_open"})'
    ' + 2 * max(retail_circuit_breaker_state{state="open"})'
)
BREAKER_WORDS = mapping({0: ("closed", GOOD), 1: ("half open", WARN), 2: ("OPEN", BAD)})
# Only currencies with revenue in the selected time range.
REVENUE = "sum by (currency) (increase(retail_order_revenue_total[$__range])) > 0"


def firing(severity: str) -> str:
    """Return the number of firing alerts of these severities, or 0."""
    selector = f'alertstate="firing",alertname!="Watchdog",severity=~"{severity}"'
    return f"count(ALERTS{{{selector}}}) or vector(0)"


def breaker_now(**more: object) -> Json:
    """Return the circuit breaker's state as text."""
    return stat(
        "Circuit breaker",
        "Normally closed. Open: calls to the payment gateway failed repeatedly, so checkouts fail "
        "immediately and buyers keep their carts. Check the gateway. The breaker closes "
        "automatically within seconds once the gateway responds.",
        [query(BREAKER, now=True)],
        mappings=BREAKER_WORDS,
        links=[link("Payments and circuit breaker", "retail-payments")],
        **more,
    )


def oversold_now(**more: object) -> Json:
    """Return the number of units sold beyond the stock."""
    return stat(
        "Oversold units",
        "Units sold beyond what was ever put on sale, from the stock ledger. Must be 0. If not, "
        "take the products off sale. `manage.py audit --invariant sold_within_offered` lists them.",
        [query("max(retail_oversold_units)", now=True)],
        thresholds=steps((THRESHOLDS.oversold.most_units + 1, BAD)),
        no_value="not audited",
        links=[link("Flash sale", "retail-flash-sale")],
        **more,
    )


def error_rate_now(**more: object) -> Json:
    """Return the 5xx error rate."""
    return stat(
        "Error rate",
        f"Ratio of 5xx responses over the last {ERROR_PERIOD}. Normally 0. Above "
        f"{ERRORS.most_ratio:.0%} for {in_words(ERRORS.for_seconds)}, RetailErrorRateHigh fires. "
        "HTTP by view shows which pages are affected. Empty without traffic.",
        [query(ERROR_RATE, now=True)],
        unit="percentunit",
        thresholds=ERROR_STEPS,
        decimals=1,
        no_value="no traffic",
        links=[link("HTTP by view", "retail-http")],
        **more,
    )


def success_now(**more: object) -> Json:
    """Return the payment success rate."""
    return stat(
        "Payment success",
        f"Ratio of completed to settled payments over the last {PAID_PERIOD}. Declined cards count "
        f"as failed. Must be at least {SUCCESS.least_ratio:.0%}; fewer than "
        f"{SUCCESS.least_payments} payments are not evaluated. See Payments and circuit breaker "
        "for the cause.",
        [query(f"{SUCCESS_RATE} and on() ({ENOUGH_PAYMENTS})", now=True)],
        unit="percentunit",
        thresholds=SUCCESS_STEPS,
        decimals=1,
        no_value="too few",
        links=[link("Payments and circuit breaker", "retail-payments")],
        **more,
    )


def orders(**more: object) -> Json:
    """Return orders by outcome."""
    return series(
        "Orders per minute, by outcome",
        "Summed over web and worker. Normally almost all are confirmed, with a few declined cards. "
        "sold_out is expected in a flash sale. payment_unavailable: the circuit breaker is open. "
        "conflict: a bug.",
        [query(f"service:retail_orders:rate{PAID_WINDOW} * 60", "{{outcome}}")],
        unit="short",
        stacked=True,
        **more,
    )
