"""The shop's health and revenue. This is Grafana's home dashboard."""

from grafana import refunds
from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, link, mapping, override, row, series, stat, steps
from grafana.queries import or_none, quantiles, query
from grafana.shared import (
    ALL_REVENUE,
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
    TIME_STEPS,
    TIMES,
    breaker_now,
    error_rate_now,
    good_checkouts_now,
    orders,
    oversold_now,
    success_now,
    success_over_time,
)
from grafana.status import alerts_firing, firing_alerts, what_is_up
from retail.thresholds import THRESHOLDS

PAGE = page(
    "retail-shop",
    "The shop's health and revenue at a glance. Start here.",
    [
        what_is_up(size=(10, 7)),
        firing_alerts(size=(14, 7)),
        alerts_firing(size=(3, 4)),
        error_rate_now(size=(3, 4)),
        success_now(size=(3, 4)),
        good_checkouts_now(size=(3, 4)),
        breaker_now(size=(3, 4)),
        oversold_now(size=(3, 4)),
        stat(
            "Revenue",
            "Value of confirmed orders in the selected time range, per currency, before refunds. "
            "Select “Today so far” for today's revenue. To judge it, compare with the same hours "
            "last week.",
            [query(or_none(REVENUE, f"sum({ALL_REVENUE})", "currency"), "{{currency}}", now=True)],
            size=(3, 4),
            paint="value",
            thresholds=steps(base=PLAIN),
            overrides=CURRENCIES,
        ),
        stat(
            "Orders per minute",
            f"Confirmed orders, averaged over the last {PAID_PERIOD}. If it drops while traffic "
            "does not, something prevents buyers from ordering. Check the checkout below.",
            [
                query(
                    f'sum(service:retail_orders:rate{PAID_WINDOW}{{outcome="confirmed"}}) * 60',
                    now=True,
                )
            ],
            size=(3, 4),
            paint="value",
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
        success_over_time(links=[link("Payments and circuit breaker", "retail-payments")]),
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
            "Value of confirmed orders, per currency, before refunds. Normally follows the number "
            "of orders. Orders without revenue point to a bug in the metrics.",
            [
                query(
                    or_none(
                        "sum by (currency) (rate(retail_order_revenue_total[$__rate_interval]))"
                        f" * 60\n  and on (currency) {REVENUE}",
                        f"sum({ALL_REVENUE})",
                        "currency",
                    ),
                    "{{currency}}",
                )
            ],
            size=(12, 8),
            unit="none",
            overrides=[*CURRENCIES, override("none", custom__axisPlacement="hidden")],
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
        series(
            "Log-ins per minute",
            "Normally a few fail. Above the alert's limit RetailLoginFailuresHigh fires: the "
            "admin's Security events show which accounts and clients.",
            [
                query(
                    'sum by (event) (rate(retail_security_events_total{event=~"log_in.*"}'
                    "[$__rate_interval])) * 60",
                    "{{event}}",
                )
            ],
            size=(24, 7),
            unit="none",
        ),
        *refunds.PANELS,
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
        ),
        stat(
            "Invariant violations",
            "Rows that the audit found, by invariant. Must be 0. If not, `manage.py audit` lists "
            "them. Do not correct them by hand until you know the cause. If there is no data, "
            "the audit is not running: see Jobs.",
            [query("max by (invariant) (retail_invariant_violations)", "{{invariant}}", now=True)],
            size=(24, 4),
            text="value_and_name",
            thresholds=steps((THRESHOLDS.invariants.most_violations + 1, BAD)),
        ),
    ],
)
