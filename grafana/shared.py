"""Panels and expressions that several dashboards share."""

from typing import Any

from alerts.http_errors import SLOW_OR_FAILED
from alerts.model import span
from alerts.payments import ENOUGH_PAYMENTS
from grafana.parts import (
    BAD,
    CURRENCY_UNITS,
    GOOD,
    PLAIN,
    QUIET,
    WARN,
    at_least,
    instead,
    link,
    logs_link,
    mapping,
    not_below,
    override,
    series,
    stat,
    steps,
)
from grafana.queries import Json, query
from retail.thresholds import THRESHOLDS, in_words

ERRORS = THRESHOLDS.error_rate
SUCCESS = THRESHOLDS.payment_success
TIMES = THRESHOLDS.response_time
SLO = THRESHOLDS.slo
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
SLOW = logs_link("Logs of slow and failed requests", text=SLOW_OR_FAILED)

ERROR_RATE = f"service:retail_http_errors:ratio_rate{ERROR_WINDOW}"
SUCCESS_RATE = f"service:retail_payment_success:ratio_rate{PAID_WINDOW}"
BREAKER = (
    'max(retail_circuit_breaker_state{state="half_open"})'
    ' + 2 * max(retail_circuit_breaker_state{state="open"})'
)
# Open at any time in the alert's window, despite half-open probes.
BREAKER_OPEN = (
    'max(max_over_time(retail_circuit_breaker_state{state="open"}'
    f"[{span(THRESHOLDS.circuit_breaker.window_seconds)}])) == 1"
)
BAD_CHECKOUTS = f"service:retail_checkout_errors:ratio_rate{span(SLO.base_seconds)}"
CHECKOUT_STEPS = at_least(SLO.checkout_objective_ratio, 1 - ERRORS.most_ratio)
# Below the alert's least number, nothing is evaluated.
REQUESTS = f"round(service:retail_http_requests:rate{ERROR_WINDOW} * {ERRORS.window_seconds})"
SETTLED = f"round(sum(service:retail_payments:rate{PAID_WINDOW}) * {SUCCESS.window_seconds})"
BREAKER_WORDS = mapping({0: ("closed", GOOD), 1: ("half open", WARN), 2: ("OPEN", BAD)})
ALL_REVENUE = "increase(retail_order_revenue_total[$__range])"
# Only currencies with revenue in the selected time range.
REVENUE = f"sum by (currency) ({ALL_REVENUE}) > 0"


def breaker_now(**more: Any) -> Json:
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


def oversold_now(**more: Any) -> Json:
    """Return the number of units sold beyond the stock."""
    return stat(
        "Oversold units",
        "Units sold beyond what was ever put on sale, from the stock ledger. Must be 0. If not, "
        "take the products off sale. `manage.py audit --invariant sold_within_offered` lists them.",
        [query("max(retail_oversold_units)", now=True)],
        thresholds=steps((THRESHOLDS.oversold.most_units + 1, BAD)),
        links=[link("Flash sale", "retail-flash-sale")],
        **more,
    )


def error_rate_now(**more: Any) -> Json:
    """Return the 5xx error rate."""
    return stat(
        "Error rate",
        f"Ratio of 5xx responses over the last {ERROR_PERIOD}. Normally 0. Above "
        f"{ERRORS.most_ratio:.0%} for {in_words(ERRORS.for_seconds)}, RetailErrorRateHigh fires. "
        f"HTTP by view shows which pages are affected. Fewer than {ERRORS.least_requests} requests "
        "are not evaluated.",
        **instead(
            f"{ERROR_RATE} and {REQUESTS} >= {ERRORS.least_requests}",
            (f"{REQUESTS} < {ERRORS.least_requests}", "too few"),
        ),
        unit="percentunit",
        thresholds=ERROR_STEPS,
        decimals=1,
        links=[link("HTTP by view", "retail-http")],
        **more,
    )


def success_now(**more: Any) -> Json:
    """Return the payment success rate."""
    return stat(
        "Payment success",
        f"Ratio of completed to settled payments over the last {PAID_PERIOD}. Declined cards count "
        f"as failed. Must be at least {SUCCESS.least_ratio:.0%}. Fewer than "
        f"{SUCCESS.least_payments} payments are not evaluated. While the circuit breaker is open, "
        "only earlier payments are settled, and the ratio says nothing: see Good checkouts.",
        **instead(
            f"{SUCCESS_RATE} and on () ({ENOUGH_PAYMENTS}) unless {BREAKER_OPEN}",
            (BREAKER_OPEN, "breaker open"),
            (f"{SETTLED} < {SUCCESS.least_payments}", "too few"),
        ),
        unit="percentunit",
        thresholds=SUCCESS_STEPS,
        decimals=1,
        links=[link("Payments and circuit breaker", "retail-payments")],
        **more,
    )


def good_checkouts_now(**more: Any) -> Json:
    """Return the ratio of checkouts that ended well."""
    return stat(
        "Good checkouts",
        f"Ratio of checkouts answered within {SLO.checkout_most_seconds:g} s and without a 5xx, "
        f"over the last {in_words(SLO.base_seconds)}. Includes buyers who are rejected because the "
        f"circuit breaker is open. Normally above {SLO.checkout_objective_ratio:.1%}. See SLOs and "
        "error budgets.",
        **instead(
            f"1 - {BAD_CHECKOUTS}",
            (f"service:retail_checkouts:rate{span(SLO.base_seconds)} == 0", "none"),
        ),
        unit="percentunit",
        thresholds=CHECKOUT_STEPS,
        decimals=1,
        links=[link("SLOs and error budgets", "retail-slo")],
        **more,
    )


def success_over_time(**more: Any) -> Json:
    """Return the graph of payment success, which is grey while the circuit breaker is open."""
    return series(
        "Payment success",
        f"Ratio of completed to settled payments over {PAID_PERIOD}. Below the red line for "
        f"{in_words(SUCCESS.for_seconds)}, RetailPaymentSuccessLow fires: either banks decline "
        "cards or the gateway fails. While the circuit breaker is open, the line is grey, because "
        "nobody can pay: the good checkouts drop.",
        [
            query(f"{SUCCESS_RATE} unless {BREAKER_OPEN}", "payment success"),
            query(f"{SUCCESS_RATE} and {BREAKER_OPEN}", "breaker open"),
            query(f"1 - {BAD_CHECKOUTS}", "good checkouts"),
        ],
        unit="percentunit",
        thresholds=SUCCESS_LINES,
        least=None,
        soft_least=0.9,
        most=1,
        overrides=[
            override("payment success", color={"mode": "fixed", "fixedColor": PLAIN}),
            override("breaker open", color={"mode": "fixed", "fixedColor": QUIET}),
            override("good checkouts", color={"mode": "fixed", "fixedColor": "purple"}),
        ],
        **more,
    )


def orders(**more: Any) -> Json:
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
