"""The shop's health and revenue. This is Grafana's home dashboard."""

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
    ERROR_PERIOD,
    ERROR_RATE,
    ERROR_STEPS,
    ERRORS,
    HTTP,
    PAID_PERIOD,
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
    "The shop's health and revenue at a glance. Start here.",
    [
        stat(
            "Alerts firing",
            "Normally 0. The Monitoring dashboard and /metrics/alerts/ in the shop list them, with "
            "their runbooks.",
            [
                query(firing("critical"), "critical", now=True),
                query(firing("warning|ticket"), "others", now=True),
            ],
            size=(4, 4),
            thresholds=steps((1, WARN)),
            overrides=[
                override("critical", thresholds={"mode": "absolute", "steps": steps((1, BAD))})
            ],
            links=[link("Monitoring", "retail-watch")],
        ),
        error_rate_now(size=(3, 4)),
        success_now(size=(3, 4)),
        breaker_now(size=(3, 4)),
        oversold_now(size=(3, 4)),
        stat(
            "Revenue",
            "Value of confirmed orders in the selected time range, per currency. Select “Today so "
            "far” for today's revenue. To judge it, compare with the same hours last week.",
            [query(REVENUE, "{{currency}}", now=True)],
            size=(4, 4),
            paint="value",
            thresholds=steps(base=PLAIN),
            overrides=CURRENCIES,
            no_value="0",
        ),
        stat(
            "Orders per minute",
            f"Confirmed orders, averaged over the last {PAID_PERIOD}. If it drops while traffic "
            "does not, something prevents buyers from ordering. Check the checkout below.",
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
            f"Ratio of 5xx responses over {ERROR_PERIOD}, and of 4xx for comparison; those are "
            "caused by the request. 5xx is normally 0. Above the red line, RetailErrorRateHigh "
            "fires: see HTTP by view.",
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
            f"Ratio of completed to settled payments over {PAID_PERIOD}. Below "
            f"{SUCCESS.least_ratio:.0%}, either banks decline cards or the gateway fails. Payments "
            "and circuit breaker shows which.",
            [query(SUCCESS_RATE, "payment success")],
            unit="percentunit",
            thresholds=SUCCESS_LINES,
            least=None,
            soft_least=0.9,
            most=1,
            links=[link("Payments and circuit breaker", "retail-payments")],
            overrides=[override("payment success", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
        series(
            "Response time",
            f"All pages. Normally well below {TIMES.warning_seconds:g} s; a checkout waits for the "
            "gateway. Each exemplar is a request. Click it for its log lines.",
            quantiles(HTTP),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        orders(size=(12, 9)),
        series(
            "p95 checkout duration, by kind of sale",
            "From the buyer's click to the shop's response. A cart checkout waits for the gateway. "
            "A flash-sale checkout must not: its payment follows later. If both are slow, check "
            "the database.",
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
            "Value of confirmed orders, per currency. Normally follows the number of orders. "
            "Orders without revenue point to a bug in the metrics.",
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
            no_value="No sales in this time range",
        ),
        series(
            "Requests per second, by status class",
            "Normally 2xx and 3xx, with a few 4xx from mistyped addresses and bots. A sudden drop "
            "to 0 while web is up means that nobody can reach the shop.",
            [
                query(f"sum by (status) (rate({HTTP}_count[$__rate_interval]))", "{{status}}"),
            ],
            size=(12, 8),
            unit="reqps",
            stacked=True,
            links=[SLOW],
        ),
        row("Quality scenarios and invariants (checked every minute)"),
        stat(
            "Quality scenarios",
            "Evaluated over the last day. Normally all pass. Missing ones have no evidence, or are "
            "verified by tests. If one fails, /metrics/quality-scenarios/ in the shop shows which "
            "measure is out of bounds, since when, and the runbooks.",
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
            "Invariant violations",
            "Rows that the audit found, by invariant. Must be 0. If not, `manage.py audit` lists "
            "them. Do not correct them by hand until you know the cause. If a value is missing, "
            "the audit is not running: see Jobs.",
            [query("max by (invariant) (retail_invariant_violations)", "{{invariant}}", now=True)],
            size=(24, 4),
            text="value_and_name",
            thresholds=steps((THRESHOLDS.invariants.most_violations + 1, BAD)),
            no_value="not audited",
        ),
    ],
)
