"""Is the shop well, and what is it earning? Grafana's home."""

from grafana.page import page
from grafana.parts import (
    BAD,
    GOOD,
    PLAIN,
    WARN,
    link,
    mapping,
    override,
    quantiles,
    query,
    row,
    series,
    stat,
    steps,
)
from grafana.shared import (
    CURRENCIES,
    ERROR_RATE,
    ERROR_STEPS,
    ERROR_WINDOW,
    ERRORS,
    HTTP,
    PAID_WINDOW,
    REVENUE,
    SLOW,
    SUCCESS,
    SUCCESS_LINES,
    SUCCESS_RATE,
    TIME_STEPS,
    TIMES,
    breaker_now,
    error_rate_now,
    firing,
    orders,
    oversold_now,
    success_now,
)
from retail.thresholds import THRESHOLDS

PAGE = page(
    "retail-shop",
    "Is the shop well, and what is it earning? Begin here.",
    [
        stat(
            "Alerts firing",
            "Normally none. The list is on Watching the watch and in the shop under "
            "/metrics/alerts/, each with its runbook.",
            [
                query(firing("critical"), "critical", now=True),
                query(firing("warning|ticket"), "others", now=True),
            ],
            size=(4, 4),
            thresholds=steps((1, WARN)),
            overrides=[
                override("critical", thresholds={"mode": "absolute", "steps": steps((1, BAD))})
            ],
            links=[link("Watching the watch", "retail-watch")],
        ),
        error_rate_now(size=(3, 4)),
        success_now(size=(3, 4)),
        breaker_now(size=(3, 4)),
        oversold_now(size=(3, 4)),
        stat(
            "Revenue in this time",
            "Money taken by confirmed orders in the time range above (choose “today” for the "
            "day's), in the shop's currency. Compare with the same hours last week before you "
            "call it low.",
            [query(REVENUE, "{{currency}}", now=True)],
            size=(4, 4),
            paint="value",
            thresholds=steps(base=PLAIN),
            overrides=CURRENCIES,
            no_value="0",
        ),
        stat(
            "Orders per minute",
            f"Confirmed orders, over the last {PAID_WINDOW}. A fall without fewer visitors means "
            "that something stands in the buyers' way: look at the checkout below.",
            [query(f'sum(service:retail_orders:rate{PAID_WINDOW}{{outcome="confirmed"}}) * 60')],
            size=(4, 4),
            paint="value",
            graph="area",
            unit="none",
            decimals=1,
            thresholds=steps(base=PLAIN),
        ),
        series(
            "Error rate",
            f"5xx share of all answers over {ERROR_WINDOW}; 4xx are the visitors' own and stand "
            "beside it. Normally 0 for 5xx. Above the red line somebody is woken: see HTTP by "
            "view.",
            [
                query(ERROR_RATE, "5xx"),
                query(
                    f'(sum(rate({HTTP}_count{{status="4xx"}}[$__rate_interval]))'
                    f" or sum(rate({HTTP}_count[$__rate_interval])) * 0)"
                    f" / sum(rate({HTTP}_count[$__rate_interval]))",
                    "4xx",
                ),
            ],
            unit="percentunit",
            thresholds=ERROR_STEPS,
            soft_most=ERRORS.most_ratio * 2,
            links=[SLOW],
        ),
        series(
            "Payment success",
            f"Completed of settled payments over {PAID_WINDOW}. Below {SUCCESS.least_ratio:.0%}: "
            "are banks declining, or does the gateway fail? Payments and breaker tells them "
            "apart.",
            [query(SUCCESS_RATE, "payment success")],
            unit="percentunit",
            thresholds=SUCCESS_LINES,
            least=None,
            soft_least=0.9,
            most=1,
            links=[link("Payments and breaker", "retail-payments")],
            overrides=[override("payment success", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
        series(
            "Time to answer",
            f"All pages. Normally well below {TIMES.warning_seconds:g} s; a checkout waits for the "
            "gateway. A dot is a request: click it for its log lines.",
            quantiles(HTTP),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        orders(size=(12, 9)),
        series(
            "Checkout time, by kind of sale",
            "From the buyer's click to the shop's answer, 95 of 100. A cart's checkout waits for "
            "the gateway; a flash sale's must not (its payment follows). Both slow: the "
            "database.",
            [
                query(
                    "histogram_quantile(0.95, sum by (le, kind) "
                    "(rate(retail_checkout_duration_seconds_bucket[$__rate_interval])))",
                    "{{kind}}",
                    exemplar=True,
                )
            ],
            size=(12, 9),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        series(
            "Revenue per minute",
            "Money taken by confirmed orders, in the shop's currency. Normally follows the "
            "orders; with orders but without revenue the counting is wrong.",
            [
                query(
                    "sum by (currency) (rate(retail_order_revenue_total[$__rate_interval])) * 60\n"
                    f"and on (currency) {REVENUE}",
                    "{{currency}}",
                )
            ],
            size=(12, 8),
            unit="none",
            overrides=CURRENCIES,
            no_value="Nothing was sold in this time",
        ),
        series(
            "Visitors' requests",
            "Answers per second by class. Normally 2xx and 3xx; a few 4xx are typing errors and "
            "robots. A cliff to zero while web is up: nobody can reach the shop.",
            [
                query(f"sum by (status) (rate({HTTP}_count[$__rate_interval]))", "{{status}}"),
            ],
            size=(12, 8),
            unit="reqps",
            stacked=True,
            links=[SLOW],
        ),
        row("Promises of the shop (judged and audited every minute)"),
        stat(
            "Quality scenarios",
            "Each over the last day; normally all pass. Missing: nothing happened that it could be "
            "judged by, or it is one that tests prove. If one fails: the shop says under "
            "/metrics/quality-scenarios/ by which measure and since when, and names the runbook.",
            [
                query(
                    "max by (scenario) (retail_quality_scenario_passing)", "{{scenario}}", now=True
                )
            ],
            size=(24, 4),
            text="value_and_name",
            thresholds=steps((1, GOOD), base=BAD),
            mappings=mapping({0: ("FAIL", BAD), 1: ("pass", GOOD)}),
            no_value="no evidence",
        ),
        stat(
            "Rows that break a promise",
            "What the audit found, by promise; always 0. If not: `manage.py audit` names the "
            "rows; put nothing right by hand before the cause is known. Missing: see Jobs, the "
            "audit does not run.",
            [query("max by (invariant) (retail_invariant_violations)", "{{invariant}}", now=True)],
            size=(24, 4),
            text="value_and_name",
            thresholds=steps((THRESHOLDS.invariants.most_violations + 1, BAD)),
            no_value="not audited",
        ),
    ],
)
