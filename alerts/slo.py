"""Error budgets: the share of bad events over many windows, and how fast it uses the budget up.

A checkout is good when it is answered without a 5xx and in time; a call to the gateway is good when
it is answered (a decline is an answer). What the breaker held back was no call: it is a bad
checkout.
"""

from alerts.model import EVALUATED_EVERY, Alert, Group, Recording, span
from retail.thresholds import THRESHOLDS, Burn

SLO = THRESHOLDS.slo
BASE = SLO.base_seconds
IN_5XX = "payment_unavailable|error"  # outcomes of a checkout that are answered with a 5xx
CHECKOUT = "retail_checkout_duration_seconds"
CALLS = "retail_payment_attempts_total"


def events(total: str, bad: str, good_expr: str, total_expr: str) -> list[Recording]:
    """Return the recordings of one kind of event over the base window, and bad ones' shares."""
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
    """Return the share over a longer window, from the base rates: that costs next to nothing."""
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


CHECKOUTS = events(
    "retail_checkouts",
    "retail_checkout_errors",
    f'sum(rate({CHECKOUT}_bucket{{le="{SLO.checkout_most_seconds}",outcome!~"{IN_5XX}"}}'
    f"[{span(BASE)}]))",
    f"sum(rate({CHECKOUT}_count[{span(BASE)}]))",
)
PAYMENT_CALLS = events(
    "retail_payment_calls",
    "retail_payment_call_errors",
    f'sum(rate({CALLS}{{outcome=~"approved|declined"}}[{span(BASE)}]))',
    f'sum(rate({CALLS}{{outcome!="short_circuited"}}[{span(BASE)}]))',
)


def _burning(bad: str, objective: float, severity: str) -> str:
    """Return an expression: on some pair of windows the budget burns too fast."""
    budget = round(1 - objective, 6)
    return "\nor ".join(
        f"(service:{bad}:ratio_rate{span(burn.long_seconds)} > {burn.factor:g} * {budget:g}\n"
        f"  and service:{bad}:ratio_rate{span(burn.short_seconds)} > {burn.factor:g} * {budget:g}\n"
        f"  and round(service:{bad}:increase{span(burn.long_seconds)}) >= {SLO.least_bad_events})"
        for burn in SLO.burns
        if burn.severity == severity
    )


DAYS = span(SLO.period_seconds)
URGENCY = {
    "critical": "At this pace the month's error budget is gone within days.",
    "ticket": "Slowly but steadily the month's error budget is used up; it can wait until the "
    "morning.",
}


def checkout_burn(severity: str) -> Alert:
    """Return the alert on checkouts, to wake somebody or as a ticket."""
    return Alert(
        name="RetailCheckoutBudgetBurn",
        expr=_burning("retail_checkout_errors", SLO.checkout_objective_ratio, severity),
        severity=severity,
        service="shop",
        summary="{{ $value | humanizePercentage }} of the checkouts fail or are slow",
        description=f"{SLO.checkout_objective_ratio:.1%} of the checkouts of {DAYS} shall be "
        f"answered without a 5xx and within {SLO.checkout_most_seconds:g} s. "
        f"{URGENCY[severity]} First steps:",
        steps=(
            (
                "docker compose ps; docker compose logs --since 10m web: errors (level ERROR), or "
                "slow answers (event=http.request with a large duration_ms)?"
            ),
            (
                "Slow: the gateway (event=payment.attempt has duration_ms) or the database (docker "
                "compose exec db psql -U retail_user retail_db -c 'SELECT * FROM "
                "pg_stat_activity')."
            ),
            "Refused with 503: see RetailCircuitBreakerOpen.",
        ),
        dashboard="retail-slo",
        logs=(("var-logger", "retail.observability"), ("var-level", "WARNING")),
    )


def payment_burn(severity: str) -> Alert:
    """Return the alert on calls to the gateway, to wake somebody or as a ticket."""
    return Alert(
        name="RetailPaymentBudgetBurn",
        expr=_burning("retail_payment_call_errors", SLO.payment_objective_ratio, severity),
        severity=severity,
        service="payments",
        summary="{{ $value | humanizePercentage }} of the calls to the gateway get no answer",
        description=f"{SLO.payment_objective_ratio:.1%} of the calls of {DAYS} shall be answered; "
        f"a decline is an answer. {URGENCY[severity]} First steps:",
        steps=(
            "docker compose ps gateway; docker compose logs --since 10m gateway.",
            (
                "docker compose logs --since 10m web worker, lines event=payment.attempt: outcome "
                "error or timeout, and how long did it take?"
            ),
            (
                "Buyers are safe: what got no answer is finished by the worker. Tell the gateway's "
                "support when it began, and with which payment keys."
            ),
        ),
        dashboard="retail-slo",
        logs=(("var-logger", "retail.payments"), ("var-level", "WARNING")),
    )


_SEVERITIES = tuple(dict.fromkeys(burn.severity for burn in SLO.burns))
GROUPS = (
    Group("retail_slo_checkout", (*CHECKOUTS, *map(checkout_burn, _SEVERITIES))),
    Group("retail_slo_payment", (*PAYMENT_CALLS, *map(payment_burn, _SEVERITIES))),
    # For the dashboards: how much of the budget is left.
    Group(
        "retail_slo_budget",
        (
            _ratio("retail_checkouts", "retail_checkout_errors", SLO.period_seconds),
            _ratio("retail_payment_calls", "retail_payment_call_errors", SLO.period_seconds),
        ),
        every=300,
    ),
)
