"""Rate, errors and duration of HTTP requests, by view."""

from grafana.page import choice, page
from grafana.parts import WARN, cell, override, series, shaded, stat, steps, table
from grafana.queries import PROMETHEUS, or_none, quantiles, query
from grafana.shared import ERROR_STEPS, HTTP, SLOW, TIME_STEPS, error_rate_now
from retail.thresholds import THRESHOLDS

VIEWS = 'view=~"$view"'
ERRORS = f"retail_http_errors_total{{{VIEWS}}}"
REJECTED = ',status="4xx"'
RATE = f"rate({HTTP}_count{{{VIEWS}}}[$__rate_interval])"
TIMES = THRESHOLDS.response_time


def in_range(more: str = "", by: str = "view") -> str:
    """Return the number of responses in the selected time range."""
    return f"sum by ({by}) (increase({HTTP}_count{{{VIEWS}{more}}}[$__range]))"


PAGE = page(
    "retail-http",
    "Rate, errors and duration of HTTP requests. Select a view above to see it alone.",
    [
        error_rate_now(size=(4, 4)),
        stat(
            "Requests per second",
            "For the selected views. Compare with the usual traffic. A drop to 0 while web is up "
            "means that nobody can reach the shop.",
            [query(f"sum({RATE})", now=True)],
            unit="reqps",
            paint="value",
            thresholds=steps(base="blue"),
        ),
        stat(
            "5xx responses",
            "For the selected views and time range. Normally 0. While the circuit breaker is open, "
            "rejected checkouts count here as 503.",
            [query(f"sum(increase({ERRORS}[$__range]))", now=True)],
            decimals=0,
            thresholds=steps((1, WARN)),
            links=[SLOW],
        ),
        stat(
            "p95 response time",
            "For the selected views and time range. Normally below "
            f"{TIMES.warning_seconds:g} s. If it is slow, sort the table by duration.",
            [
                query(
                    "histogram_quantile(0.95, sum by (le) "
                    f"(increase({HTTP}_bucket{{{VIEWS}}}[$__range])))",
                    now=True,
                )
            ],
            unit="s",
            thresholds=TIME_STEPS,
        ),
        stat(
            "Requests in progress",
            "Requests being handled now, in all processes. When it reaches the number of threads "
            "(8 per process), other requests queue. If it stays there, the gateway or the database "
            "hangs.",
            [query("sum(retail_http_requests_in_progress)", now=True)],
            paint="value",
            thresholds=steps((8, WARN)),
        ),
        stat(
            "Throttled requests",
            "Checkouts, logins and password resets rejected because the client sent too many, in "
            "the selected time range. Many logins: someone is guessing passwords.",
            [query("sum(increase(retail_throttled_requests_total[$__range]))", now=True)],
            decimals=0,
            paint="value",
            thresholds=steps(base="blue"),
        ),
        table(
            "Views",
            "Every view with requests in the selected time range. Start with the coloured cells: "
            "select that view above and open its logs.",
            [
                query(f"{in_range()} > 0", now=True),
                query(
                    f"sum by (view) (increase({ERRORS}[$__range])) / ({in_range()} > 0)",
                    now=True,
                ),
                query(
                    f"{in_range(REJECTED)} / ({in_range()} > 0) or ({in_range()} > 0) * 0",
                    now=True,
                ),
                query(
                    "histogram_quantile(0.5, sum by (le, view) "
                    f"(increase({HTTP}_bucket{{{VIEWS}}}[$__range]))) >= 0",
                    now=True,
                ),
                query(
                    "histogram_quantile(0.95, sum by (le, view) "
                    f"(increase({HTTP}_bucket{{{VIEWS}}}[$__range]))) >= 0",
                    now=True,
                ),
            ],
            size=(24, 12),
            unit="short",
            columns={
                "view": "View",
                "Value #A": "Requests",
                "Value #B": "5xx",
                "Value #C": "4xx",
                "Value #D": "Median",
                "Value #E": "p95",
            },
            overrides=[
                override("Requests", **cell("none", decimals=0)),
                override("5xx", **cell("percentunit", decimals=1), **shaded(ERROR_STEPS)),
                override("4xx", **cell("percentunit", decimals=1)),
                override("Median", **cell("s"), **shaded(TIME_STEPS)),
                override("p95", **cell("s"), **shaded(TIME_STEPS)),
            ],
            sort=[{"displayName": "Requests", "desc": True}],
            links=[SLOW],
        ),
        series(
            "Requests per second, by view",
            "Normally a mix of catalogue pages with a few checkouts. One view far above its usual "
            "rate: a bot, or a page that keeps reloading.",
            [query(f"sum by (view) ({RATE})", "{{view}}")],
            size=(12, 9),
            unit="reqps",
            stacked=True,
        ),
        series(
            "Requests per second, by status class",
            "5xx are caused by the shop, 4xx by the request. Many 404 point to a broken link. Many "
            "403 or 429 point to abuse.",
            [query(f"sum by (status) ({RATE})", "{{status}}")],
            size=(12, 9),
            unit="reqps",
            stacked=True,
            links=[SLOW],
        ),
        series(
            "Errors per minute, by view",
            "5xx responses. Normally none. If one view fails, check its code or its dependencies: "
            "orders:checkout needs the gateway. If all views fail, check the database.",
            [
                query(
                    or_none(
                        f"sum by (view) (rate({ERRORS}[$__rate_interval])) * 60 > 0",
                        f"sum(rate({ERRORS}[$__rate_interval]))",
                        "view",
                    ),
                    "{{view}}",
                )
            ],
            size=(12, 9),
            unit="short",
            soft_most=2,
            links=[SLOW],
        ),
        series(
            "Response time",
            "For all selected views together. Each exemplar is a request. Click it for its log "
            "lines, which show how long each step took.",
            quantiles(HTTP, VIEWS, of=(0.5, 0.95, 0.99)),
            size=(12, 9),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        series(
            "p95 response time, by view",
            "Normally orders:checkout is the slowest, because it waits for the gateway. If all "
            "views are slow, check the database and the number of threads.",
            [
                query(
                    f"histogram_quantile(0.95, sum by (le, view) (rate({HTTP}_bucket{{{VIEWS}}}"
                    "[$__rate_interval])))",
                    "{{view}}",
                )
            ],
            size=(12, 9),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        series(
            "Throttled requests per minute, by scope",
            "Normally none. login: someone is guessing passwords. checkout: a customer orders the "
            "same product again and again.",
            [
                query(
                    "sum by (scope) (rate(retail_throttled_requests_total[$__rate_interval])) * 60",
                    "{{scope}}",
                )
            ],
            size=(12, 9),
            unit="short",
            soft_most=2,
        ),
    ],
    variables=[
        choice(
            "view", "View", PROMETHEUS, {"query": f"label_values({HTTP}_count, view)", "refId": "V"}
        )
    ],
)
