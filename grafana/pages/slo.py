"""Service level objectives: remaining error budgets and burn rates."""

from alerts.model import span
from alerts.slo import BUDGET_EVERY, CHECKOUT, CHECKOUT_POST, PROXY
from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, WARN, override, row, series, stat, steps
from grafana.queries import Json, query
from retail.thresholds import THRESHOLDS, in_words

SLO = THRESHOLDS.slo
PERIOD = in_words(SLO.period_seconds)
UPDATED = in_words(BUDGET_EVERY)
BASE = span(SLO.base_seconds)
BURNS = sorted(SLO.burns, key=lambda burn: burn.long_seconds)
FASTEST = BURNS[0]
LEFT_STEPS = steps((0.0001, WARN), (0.25, GOOD), base=BAD)


def ratio(bad: str, seconds: int) -> str:
    """Return the recorded ratio of bad events over a window."""
    return f"service:{bad}:ratio_rate{span(seconds)}"


def objective_panels(heading: str, total: str, bad: str, objective: float, act: str) -> list[Json]:
    """Return the panels of one objective."""
    budget = round(1 - objective, 6)
    return [
        row(heading),
        *budget_stats(bad, objective, budget, act),
        burn_rate(bad, budget, act),
        events(total, bad),
    ]


def budget_stats(bad: str, objective: float, budget: float, act: str) -> list[Json]:
    """Return the remaining budget and the ratio of good events."""
    left = f"clamp_min(1 - {ratio(bad, SLO.period_seconds)} / {budget:g}, 0)"
    return [
        stat(
            "Remaining budget",
            f"Of the {budget:.1%} bad events that the objective allows over {PERIOD}. Below "
            "25 %, avoid risky changes. At 0 %, reliability work comes before features. Updated "
            f"every {UPDATED}: until then it has no data in a new shop, and a new outage shows "
            "only in the burn rate. In a new shop, the period starts with the first event.",
            [query(left, now=True)],
            unit="percentunit",
            decimals=0,
            size=(4, 9),
            thresholds=LEFT_STEPS,
        ),
        stat(
            "Good events",
            f"Ratio over {PERIOD}, updated every {UPDATED}. The objective is {objective:.1%}. "
            f"{act}",
            [query(f"1 - {ratio(bad, SLO.period_seconds)}", now=True)],
            unit="percentunit",
            decimals=2,
            size=(4, 9),
            thresholds=steps((objective, GOOD), base=BAD),
        ),
    ]


def burn_rate(bad: str, budget: float, act: str) -> Json:
    """Return the graph of the burn rate."""
    colours = [(burn.factor, BAD if burn.severity == "critical" else WARN) for burn in BURNS]
    return series(
        "Burn rate",
        f"A burn rate of 1 uses up the budget in exactly {PERIOD}. Dashed lines mark the alert "
        f"thresholds: {FASTEST.factor:g} over {in_words(FASTEST.long_seconds)} and "
        f"{in_words(FASTEST.short_seconds)} is critical. {act}",
        [
            query(
                f"{ratio(bad, burn.long_seconds)} / {budget:g}",
                f"over {span(burn.long_seconds)}",
            )
            for burn in BURNS
        ],
        size=(8, 9),
        unit="none",
        decimals=1,
        thresholds=steps(*sorted(colours)),
        soft_most=FASTEST.factor * 1.2,
    )


def events(total: str, bad: str) -> Json:
    """Return the graph of all events and bad events."""
    return series(
        "Events per minute",
        "All events, and bad events. With little traffic, a single bad event is a large ratio. "
        f"Alerts need at least {SLO.least_bad_events} bad events.",
        [
            query(f"service:{total}:rate{BASE} * 60", "all"),
            query(f"service:{bad}:rate{BASE} * 60", "bad"),
        ],
        size=(8, 9),
        unit="short",
        overrides=[
            override("all", color={"mode": "fixed", "fixedColor": PLAIN}),
            override("bad", color={"mode": "fixed", "fixedColor": BAD}),
        ],
    )


PAGE = page(
    "retail-slo",
    f"Error budgets over {PERIOD}: how much is left, and how fast they burn.",
    [
        *objective_panels(
            f"Checkouts: {SLO.checkout_objective_ratio:.1%} answered within "
            f"{SLO.checkout_most_seconds:g} s and without a 5xx",
            "retail_checkouts",
            "retail_checkout_errors",
            SLO.checkout_objective_ratio,
            "Check on Shop whether checkouts are slow or fail.",
        ),
        *objective_panels(
            f"Calls to the payment gateway: {SLO.payment_objective_ratio:.1%} get a response "
            "(declines included)",
            "retail_payment_calls",
            "retail_payment_call_errors",
            SLO.payment_objective_ratio,
            "Check Payments and circuit breaker, then the gateway.",
        ),
        row("Checkouts in the selected time range"),
        series(
            "Checkouts by outcome",
            "Ratio of each outcome. payment_unavailable and error are bad; all others are good if "
            "they arrive in time. Normally almost all are confirmed, pending or sold_out. A "
            "checkout that fails before it has an outcome is in the budget, but not here.",
            [
                query(
                    "sum by (outcome) "
                    "(rate(retail_checkout_duration_seconds_count[$__rate_interval]))"
                    " / ignoring (outcome) group_left "
                    "sum(rate(retail_checkout_duration_seconds_count[$__rate_interval])) > 0",
                    "{{outcome}}",
                )
            ],
            size=(8, 8),
            unit="percentunit",
            most=1,
            stacked=True,
        ),
        series(
            f"Checkouts answered within {SLO.checkout_most_seconds:g} s",
            "By web, with any outcome. Normally above 99 %. Lower when the gateway is slow: "
            "a cart checkout waits for it.",
            [
                query(
                    f"sum(rate({CHECKOUT}_bucket{{{CHECKOUT_POST},"
                    f'le="{SLO.checkout_most_seconds}"}}[$__rate_interval]))'
                    f" / sum(rate({CHECKOUT}_count{{{CHECKOUT_POST}}}[$__rate_interval]))",
                    "in time",
                )
            ],
            size=(8, 8),
            unit="percentunit",
            least=None,
            soft_least=0.9,
            most=1,
            thresholds=steps((SLO.checkout_objective_ratio, BAD)),
            overrides=[override("in time", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
        series(
            "Errors of the proxy itself, per minute",
            "What it answered because web did not, or because a limit was exceeded. Normally none. "
            "A 5xx to a checkout is a bad checkout. See RetailProxyErrorsHigh.",
            [
                query(
                    f"max by (page, status) (rate({PROXY}[$__rate_interval])) * 60",
                    "{{status}}, {{page}}",
                )
            ],
            size=(8, 8),
            unit="short",
            soft_most=2,
        ),
    ],
    period="now-6h",
)
