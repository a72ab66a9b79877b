"""Panels and expressions that several dashboards show, in the same words and colours."""

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
    window,
)
from retail.thresholds import THRESHOLDS

ERRORS = THRESHOLDS.error_rate
SUCCESS = THRESHOLDS.payment_success
TIMES = THRESHOLDS.response_time
ERROR_STEPS = steps((ERRORS.warning_ratio, WARN), (ERRORS.most_ratio, BAD))
TIME_STEPS = steps((TIMES.warning_seconds, WARN), (TIMES.most_seconds, BAD))
SUCCESS_STEPS = at_least(SUCCESS.warning_ratio, SUCCESS.least_ratio)
SUCCESS_LINES = not_below(SUCCESS.warning_ratio, SUCCESS.least_ratio)
HTTP = "retail_http_request_duration_seconds"
ERROR_WINDOW = window(ERRORS.window_seconds)
PAID_WINDOW = window(SUCCESS.window_seconds)
CURRENCIES = [override(name, unit=unit) for name, unit in CURRENCY_UNITS.items()]
SLOW = link("Slow and failed requests in the logs", "retail-logs",
            "&var-logger=retail.observability&var-level=WARNING")  # fmt: skip

ERROR_RATE = f"service:retail_http_errors:ratio_rate{ERROR_WINDOW}"
SUCCESS_RATE = f"service:retail_payment_success:ratio_rate{PAID_WINDOW}"
BREAKER = (
    'max(retail_circuit_breaker_state{state="half_open"})'
    ' + 2 * max(retail_circuit_breaker_state{state="open"})'
)
BREAKER_WORDS = mapping({0: ("closed", GOOD), 1: ("half open", WARN), 2: ("OPEN", BAD)})
# Of the shop's currencies, those in which something was sold in the time that is shown.
REVENUE = "sum by (currency) (increase(retail_order_revenue_total[$__range])) > 0"


def firing(severity: str) -> str:
    """Return how many alerts of the severities fire; 0 is an answer here, not a gap."""
    chosen = f'alertstate="firing",alertname!="Watchdog",severity=~"{severity}"'
    return f"count(ALERTS{{{chosen}}}) or vector(0)"


def breaker_now(**more: object) -> Json:
    """Return the breaker's state as a word."""
    return stat(
        "Circuit breaker",
        "Normally closed. Open: the payment gateway did not answer several times in a row; "
        "buyers are refused at once and keep their carts. Look at the gateway; it closes by "
        "itself within seconds once that answers.",
        [query(BREAKER, now=True)],
        mappings=BREAKER_WORDS,
        links=[link("Payments and breaker", "retail-payments")],
        **more,
    )


def oversold_now(**more: object) -> Json:
    """Return how many units were sold that are not there."""
    return stat(
        "Oversold units",
        "Units sold beyond what was ever put on sale, from the stock ledger. Always 0. If not: "
        "take the products off sale; `manage.py audit --invariant sold_within_offered` names "
        "them.",
        [query("max(retail_oversold_units)", now=True)],
        thresholds=steps((THRESHOLDS.oversold.most_units + 1, BAD)),
        no_value="not audited",
        links=[link("Flash sale", "retail-flash-sale")],
        **more,
    )


def error_rate_now(**more: object) -> Json:
    """Return the share of 5xx."""
    return stat(
        "Error rate",
        f"5xx of all answers in the last {ERROR_WINDOW}. Normally 0; above "
        f"{ERRORS.most_ratio:.0%} for {window(ERRORS.for_seconds)} somebody is woken. HTTP by "
        "view says which page it is. Without visitors there is no share.",
        [query(ERROR_RATE, now=True)],
        unit="percentunit",
        thresholds=ERROR_STEPS,
        decimals=1,
        no_value="no visitors",
        links=[link("HTTP by view", "retail-http")],
        **more,
    )


def success_now(**more: object) -> Json:
    """Return the share of payments that were completed."""
    return stat(
        "Payment success",
        f"Completed of all payments settled in the last {PAID_WINDOW}; a declined card counts as "
        f"failed. Must be {SUCCESS.least_ratio:.0%} or more; few payments make a rough number. "
        "Payments and breaker says why.",
        [query(SUCCESS_RATE, now=True)],
        unit="percentunit",
        thresholds=SUCCESS_STEPS,
        decimals=1,
        no_value="none settled",
        links=[link("Payments and breaker", "retail-payments")],
        **more,
    )


def orders(**more: object) -> Json:
    """Return orders by how they ended."""
    return series(
        "Orders per minute, by how they ended",
        "Counted by web and worker together. Normally almost all confirmed, a few declined "
        "cards. Sold out is the protection at work. payment_unavailable: the breaker refused; "
        "conflict: a bug.",
        [query(f"service:retail_orders:rate{PAID_WINDOW} * 60", "{{outcome}}")],
        unit="short",
        stacked=True,
        **more,
    )
