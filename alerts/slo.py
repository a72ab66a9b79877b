"""Error budgets: the ratio of bad events over several windows, and multi-window burn-rate alerts.

A checkout is any POST of its page, whatever answers it, from its arrival to its answer; it is good
if that is not a 5xx and comes in time. What the proxy answers by itself, such as while web is down,
is counted by the worker; of several workers, each counts all of it. A call to the gateway is good
if it gets a response; a decline is a response. Calls that the circuit breaker rejected do not count
as calls. They count as bad checkouts.
"""

from alerts.http_errors import SLOW_OR_FAILED
from alerts.model import EVALUATED_EVERY, Alert, Group, Recording, span
from alerts.queries import until_scraped
from retail.thresholds import THRESHOLDS, Burn, in_words

SLO = THRESHOLDS.slo
BASE = SLO.base_seconds
BUDGET_EVERY = 60  # seconds; the sums over the period are too long for every evaluation
CHECKOUT = "retail_http_request_duration_seconds"
CHECKOUT_POST = 'view="orders:checkout",method="POST"'
PROXY = "retail_proxy_answers_total"
CALLS = "retail_payment_attempts_total"


def events(total: str, bad: str, good_expr: str, total_expr: str) -> list[Recording]:
    """Return the recording rules of one kind of event: rates, ratios of bad events, increases."""
    rate = f"rate{span(BASE)}"
    windows = sorted({seconds for burn in SLO.burns for seconds in _windows(burn)} - {BASE})
    return [
        Recording(f"service:{total}:{rate}", total_expr),
        Recording(f"service:{bad}:{rate}", f"clamp_min({total_expr}\n- {good_expr}, 0)"),
        Recording(
            f"service:{bad}:ratio_{rate}", f"service:{bad}:{rate} / (service:{total}:{rate} > 0)"
        ),
        *(_ratio(total, bad, seconds) for seconds in windows),
        *(_increase(bad, seconds) for seconds in sorted({burn.long_seconds for burn in SLO.burns})),
    ]


def _windows(burn: Burn) -> tuple[int, int]:
    return burn.long_seconds, burn.short_seconds


def _ratio(total: str, bad: str, seconds: int) -> Recording:
    """Return the ratio over a longer window. It sums the base rates, which costs almost nothing."""
    window = span(seconds)
    return Recording(
        f"service:{bad}:ratio_rate{window}",
        f"sum_over_time(service:{bad}:rate{span(BASE)}[{window}])\n"
        f"/ (sum_over_time(service:{total}:rate{span(BASE)}[{window}]) > 0)",
    )


def _increase(bad: str, seconds: int) -> Recording:
    window = span(seconds)
    return Recording(
        f"service:{bad}:increase{window}",
        f"sum_over_time(service:{bad}:rate{span(BASE)}[{window}]) * {EVALUATED_EVERY}",
    )


def _checkouts(by_web: str, by_proxy: str) -> str:
    """Return the rate of checkouts that web answered, and the proxy, as far as either is known."""
    return (
        f"sum(rate({by_web}[{span(BASE)}])\n"
        f"  or max by (page, status) (rate({by_proxy}[{span(BASE)}])))"
    )


CHECKOUTS = events(
    "retail_checkouts",
    "retail_checkout_errors",
    _checkouts(
        f'{CHECKOUT}_bucket{{{CHECKOUT_POST},status!="5xx",le="{SLO.checkout_most_seconds}"}}',
        f'{PROXY}{{page="checkout",status!="5xx"}}',
    ),
    _checkouts(f"{CHECKOUT}_count{{{CHECKOUT_POST}}}", f'{PROXY}{{page="checkout"}}'),
)
PAYMENT_CALLS = events(
    "retail_payment_calls",
    "retail_payment_call_errors",
    f'sum(rate({CALLS}{{outcome=~"approved|declined"}}[{span(BASE)}]))',
    f'sum(rate({CALLS}{{outcome!="short_circuited"}}[{span(BASE)}]))',
)


def _burning(bad: str, objective: float, severity: str) -> Recording:
    """Return the ratio of a long window, if the budget burns too fast in any pair of windows."""
    budget = round(1 - objective, 6)
    fast = "\nor ".join(
        f"(service:{bad}:ratio_rate{span(burn.long_seconds)} > {burn.factor:g} * {budget:g}\n"
        f"  and service:{bad}:ratio_rate{span(burn.short_seconds)} > {burn.factor:g} * {budget:g}\n"
        f"  and round(service:{bad}:increase{span(burn.long_seconds)}) >= {SLO.least_bad_events})"
        for burn in SLO.burns
        if burn.severity == severity
    )
    return until_scraped(f"service:{bad}:burning_{severity}", fast)


PERIOD = in_words(SLO.period_seconds)
URGENCY = {
    "critical": "At this rate the error budget is used up within days.",
    "ticket": "The error budget is being used up slowly; this can wait until the morning.",
}


def checkout_burn(severity: str) -> Alert:
    """Return the alert on checkouts for one severity."""
    return Alert(
        name="RetailCheckoutBudgetBurn",
        expr=f"service:retail_checkout_errors:burning_{severity}",
        severity=severity,
        service="shop",
        summary="{{ $value | humanizePercentage }} of checkouts fail or are slow",
        description=f"Objective: over {PERIOD}, {SLO.checkout_objective_ratio:.1%} of checkouts "
        f"are answered within {SLO.checkout_most_seconds:g} s and without a 5xx. "
        f"{URGENCY[severity]} First steps:",
        steps=(
            (
                "Run docker compose ps and docker compose logs --since 10m web. Are there errors "
                "(level ERROR) or slow requests (event=http.request with a high duration_ms)?"
            ),
            (
                "If requests are slow, check the gateway (duration_ms of event=payment.attempt) "
                "and the database (docker compose exec db psql -U postgres retail_db -c 'SELECT "
                "* FROM pg_stat_activity')."
            ),
            "If checkouts return 503, see RetailCircuitBreakerOpen.",
        ),
        dashboard="retail-slo",
        logs=(("var-text", SLOW_OR_FAILED),),
    )


def payment_burn(severity: str) -> Alert:
    """Return the alert on calls to the gateway for one severity."""
    return Alert(
        name="RetailPaymentBudgetBurn",
        expr=f"service:retail_payment_call_errors:burning_{severity}",
        severity=severity,
        service="payments",
        summary="{{ $value | humanizePercentage }} of calls to the payment gateway fail",
        description=f"Objective: over {PERIOD}, {SLO.payment_objective_ratio:.1%} of calls get a "
        f"response. A decline is a response. {URGENCY[severity]} First steps:",
        steps=(
            "Run docker compose ps gateway and docker compose logs --since 10m gateway.",
            (
                "Run docker compose logs --since 10m web worker and find event=payment.attempt. Is "
                "the outcome error or timeout, and how long did it take?"
            ),
            (
                "No buyer is charged twice: the worker settles payments that got no response. Give "
                "the gateway's support the start time and some payment keys."
            ),
        ),
        dashboard="retail-slo",
        logs=(("var-logger", "retail.payments"), ("var-level", "WARNING")),
    )


_SEVERITIES = tuple(dict.fromkeys(burn.severity for burn in SLO.burns))
CHECKOUTS += [
    _burning("retail_checkout_errors", SLO.checkout_objective_ratio, severity)
    for severity in _SEVERITIES
]
PAYMENT_CALLS += [
    _burning("retail_payment_call_errors", SLO.payment_objective_ratio, severity)
    for severity in _SEVERITIES
]
GROUPS = (
    Group("retail_slo_checkout", (*CHECKOUTS, *map(checkout_burn, _SEVERITIES))),
    Group("retail_slo_payment", (*PAYMENT_CALLS, *map(payment_burn, _SEVERITIES))),
    # The remaining budget, for the dashboards.
    Group(
        "retail_slo_budget",
        (
            _ratio("retail_checkouts", "retail_checkout_errors", SLO.period_seconds),
            _ratio("retail_payment_calls", "retail_payment_call_errors", SLO.period_seconds),
        ),
        every=BUDGET_EVERY,
    ),
)
