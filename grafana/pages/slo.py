"""Service levels: how much of the month's error budgets is left, and how fast they burn."""

from alerts.model import span
from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, WARN, Json, override, query, row, series, stat, steps
from retail.thresholds import THRESHOLDS

SLO = THRESHOLDS.slo
DAYS = span(SLO.period_seconds)
BASE = span(SLO.base_seconds)
BURNS = sorted(SLO.burns, key=lambda burn: burn.long_seconds)
FASTEST = BURNS[0]
LEFT_STEPS = steps((0.0001, WARN), (0.25, GOOD), base=BAD)


def share(bad: str, seconds: int) -> str:
    """Return the recorded share of bad events over a window."""
    return f"service:{bad}:ratio_rate{span(seconds)}"


def level(heading: str, total: str, bad: str, objective: float, act: str) -> list[Json]:
    """Return the panels of one service level."""
    budget = round(1 - objective, 6)
    return [
        row(heading),
        *kept(bad, objective, budget, act),
        burn_rate(bad, budget, act),
        events(total, bad),
    ]


def kept(bad: str, objective: float, budget: float, act: str) -> list[Json]:
    """Return what is left of the budget, and how the objective is kept."""
    left = f"1 - {share(bad, SLO.period_seconds)} / {budget:g}"
    return [
        stat(
            "Budget left",
            f"Of the bad events that {objective:.1%} over {DAYS} allow ({budget:.1%}). Below 25 "
            "%: no risky changes. Used up: repair before features. Since the shop's first event, "
            "if younger.",
            [query(left, now=True)],
            unit="percentunit",
            decimals=0,
            size=(4, 9),
            thresholds=LEFT_STEPS,
            no_value="no events yet",
        ),
        stat(
            "Good events",
            f"Share over {DAYS}, and what it must be: {objective:.1%}. {act}",
            [query(f"1 - {share(bad, SLO.period_seconds)}", now=True)],
            unit="percentunit",
            decimals=2,
            size=(4, 9),
            thresholds=steps((objective, GOOD), base=BAD),
            no_value="no events yet",
        ),
    ]


def burn_rate(bad: str, budget: float, act: str) -> Json:
    """Return the graph of how fast the budget burns."""
    colours = [(burn.factor, BAD if burn.severity == "critical" else WARN) for burn in BURNS]
    return series(
        "Burn rate",
        f"1 uses the budget up in exactly {DAYS}. The dashed lines are where alerts begin: "
        f"{FASTEST.factor:g} for {span(FASTEST.long_seconds)} and "
        f"{span(FASTEST.short_seconds)} wakes somebody. {act}",
        [
            query(
                f"{share(bad, burn.long_seconds)} / {budget:g}",
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
    """Return the graph of all events and the bad ones."""
    return series(
        "Events per minute",
        "All of them, and the bad ones. With very few events one bad one is a large share: "
        f"at least {SLO.least_bad_events} are needed to wake anybody.",
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
    f"Error budgets over {DAYS}: what is left of them, and how fast they burn.",
    [
        *level(
            f"Checkouts: {SLO.checkout_objective_ratio:.1%} answered without a 5xx and within "
            f"{SLO.checkout_most_seconds:g} s",
            "retail_checkouts",
            "retail_checkout_errors",
            SLO.checkout_objective_ratio,
            "Look at the checkout on Shop: slow, or refused?",
        ),
        *level(
            f"Calls to the payment gateway: {SLO.payment_objective_ratio:.1%} get an answer; a "
            "decline is one",
            "retail_payment_calls",
            "retail_payment_call_errors",
            SLO.payment_objective_ratio,
            "Look at Payments and breaker, then at the gateway.",
        ),
        row("Quality over the time range above"),
        series(
            "Checkouts by answer",
            "Share of each answer. Good are all but payment_unavailable and error, if they came "
            "in time. Normally almost only confirmed, pending and sold_out.",
            [
                query(
                    "sum by (outcome) "
                    "(rate(retail_checkout_duration_seconds_count[$__rate_interval]))"
                    " / ignoring (outcome) group_left "
                    "sum(rate(retail_checkout_duration_seconds_count[$__rate_interval])) > 0",
                    "{{outcome}}",
                )
            ],
            size=(12, 8),
            unit="percentunit",
            most=1,
            stacked=True,
            no_value="No checkout in this time",
        ),
        series(
            f"Checkouts answered within {SLO.checkout_most_seconds:g} s",
            "Whatever the answer. Normally above 99 %; lower when the gateway is slow, since a "
            "cart's checkout waits for it.",
            [
                query(
                    f'sum(rate(retail_checkout_duration_seconds_bucket{{le="{SLO.checkout_most_seconds}"}}'
                    "[$__rate_interval])) / sum(rate(retail_checkout_duration_seconds_count"
                    "[$__rate_interval]))",
                    "in time",
                )
            ],
            size=(12, 8),
            unit="percentunit",
            least=None,
            soft_least=0.9,
            most=1,
            thresholds=steps((SLO.checkout_objective_ratio, BAD)),
            overrides=[override("in time", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
    ],
    period="now-6h",
)
