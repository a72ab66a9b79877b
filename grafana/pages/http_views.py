"""Rate, errors and duration of what visitors asked for, by view."""

from grafana.page import choice, page
from grafana.parts import (
    PROMETHEUS,
    WARN,
    override,
    quantiles,
    query,
    series,
    stat,
    steps,
    table,
)
from grafana.shared import ERROR_RATE, ERROR_STEPS, ERROR_WINDOW, HTTP, SLOW, TIME_STEPS
from retail.thresholds import THRESHOLDS

CHOSEN = 'view=~"$view"'
FAILED = ',status="5xx"'
REFUSED = ',status="4xx"'
RATE = f"rate({HTTP}_count{{{CHOSEN}}}[$__rate_interval])"
TIMES = THRESHOLDS.response_time


def in_range(more: str = "", by: str = "view") -> str:
    """Return how many answers there were in the time that is shown."""
    return f"sum by ({by}) (increase({HTTP}_count{{{CHOSEN}{more}}}[$__range]))"


def cell(unit: str, **more: object) -> dict[str, object]:
    """Return the properties of a column of numbers."""
    return {"unit": unit, **more}


def shaded(thresholds: list[dict[str, object]]) -> dict[str, object]:
    """Return the properties of a column whose cells take the colour of what they mean."""
    return {
        "custom__cellOptions": {"type": "color-background", "mode": "basic"},
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "color": {"mode": "thresholds"},
    }


PAGE = page(
    "retail-http",
    "Rate, errors and duration of the shop's answers. Choose one view above to see it alone.",
    [
        stat(
            "Error rate of the shop",
            f"5xx of all answers of all views in the last {ERROR_WINDOW}. Normally 0. The table "
            "below has the view that it comes from.",
            [query(ERROR_RATE, now=True)],
            size=(4, 4),
            unit="percentunit",
            decimals=1,
            thresholds=ERROR_STEPS,
            no_value="no visitors",
        ),
        stat(
            "Answers per second",
            "Of the chosen views. Know your usual day: a fall to 0 while web is up means that "
            "nobody reaches the shop.",
            [query(f"sum({RATE})")],
            unit="reqps",
            paint="value",
            graph="area",
            thresholds=steps(base="blue"),
        ),
        stat(
            "5xx in this time",
            "Answers of the chosen views that were our fault, in the time range above. Normally "
            "0; while the breaker is open, refused checkouts are 503.",
            [
                query(
                    f'sum(increase({HTTP}_count{{{CHOSEN},status="5xx"}}[$__range])) or vector(0)',
                    now=True,
                )
            ],
            decimals=0,
            thresholds=steps((1, WARN)),
            links=[SLOW],
        ),
        stat(
            "95 of 100 answered within",
            f"Chosen views, over the time range above. Normally below {TIMES.warning_seconds:g} "
            "s. Slow: sort the table by duration.",
            [
                query(
                    "histogram_quantile(0.95, sum by (le) "
                    f"(increase({HTTP}_bucket{{{CHOSEN}}}[$__range])))",
                    now=True,
                )
            ],
            unit="s",
            thresholds=TIME_STEPS,
            no_value="no visitors",
        ),
        stat(
            "Requests in progress",
            "Being answered at this moment, by all processes. As many as there are threads (8 a "
            "process): others wait in line. Something hangs: the gateway or the database.",
            [query("sum(retail_http_requests_in_progress)")],
            graph="area",
            paint="value",
            thresholds=steps((8, WARN)),
        ),
        stat(
            "Throttled in this time",
            "Requests refused because their sender asked too often: checkouts, log-ins, password "
            "letters. Many log-ins: somebody is guessing passwords.",
            [query("sum(increase(retail_throttled_requests_total[$__range]))", now=True)],
            decimals=0,
            paint="value",
            thresholds=steps(base="blue"),
        ),
        table(
            "Views",
            "Every view that was asked for in the time range above. Errors or seconds in colour "
            "are the place to look; then choose the view above and open its log lines.",
            [
                query(f"{in_range()} > 0", now=True),
                query(
                    f"{in_range(FAILED)} / ({in_range()} > 0) or ({in_range()} > 0) * 0", now=True
                ),
                query(
                    f"{in_range(REFUSED)} / ({in_range()} > 0) or ({in_range()} > 0) * 0", now=True
                ),
                query(
                    "histogram_quantile(0.5, sum by (le, view) "
                    f"(increase({HTTP}_bucket{{{CHOSEN}}}[$__range]))) >= 0",
                    now=True,
                ),
                query(
                    "histogram_quantile(0.95, sum by (le, view) "
                    f"(increase({HTTP}_bucket{{{CHOSEN}}}[$__range]))) >= 0",
                    now=True,
                ),
            ],
            size=(24, 12),
            unit="short",
            columns={
                "view": "View",
                "Value #A": "Answers",
                "Value #B": "5xx",
                "Value #C": "4xx",
                "Value #D": "Median",
                "Value #E": "95 of 100",
            },
            overrides=[
                override("Answers", **cell("none", decimals=0)),
                override("5xx", **cell("percentunit", decimals=1), **shaded(ERROR_STEPS)),
                override("4xx", **cell("percentunit", decimals=1)),
                override("Median", **cell("s"), **shaded(TIME_STEPS)),
                override("95 of 100", **cell("s"), **shaded(TIME_STEPS)),
            ],
            sort=[{"displayName": "Answers", "desc": True}],
            links=[SLOW],
        ),
        series(
            "Answers per second, by view",
            "Normally a mix of catalogue pages with a few checkouts. One view far above its "
            "usual rate: a robot, or a page that reloads itself.",
            [query(f"sum by (view) ({RATE})", "{{view}}")],
            size=(12, 9),
            unit="reqps",
            stacked=True,
        ),
        series(
            "Answers per second, by class of status",
            "5xx are ours, 4xx the visitors'. Many 404: a broken link; many 403 or 429: somebody "
            "is trying something.",
            [query(f"sum by (status) ({RATE})", "{{status}}")],
            size=(12, 9),
            unit="reqps",
            stacked=True,
            links=[SLOW],
        ),
        series(
            "Errors per minute, by view",
            "5xx. Normally none. One view: its own code, or what it alone needs (orders:checkout "
            "needs the gateway). All views: the database.",
            [
                query(
                    f"sum by (view) (rate({HTTP}_count{{{CHOSEN}{FAILED}}}[$__rate_interval])) * 60"
                    '\nor label_replace(vector(0), "view", "none", "", "")',
                    "{{view}}",
                )
            ],
            size=(12, 9),
            unit="short",
            soft_most=2,
            links=[SLOW],
        ),
        series(
            "Time to answer",
            "Chosen views together. A dot is a request: click it for its log lines, which have "
            "the time that each step took.",
            quantiles(HTTP, CHOSEN, of=(0.5, 0.95, 0.99)),
            size=(12, 9),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=TIMES.most_seconds,
            links=[SLOW],
        ),
        series(
            "95 of 100, by view",
            "Normally orders:checkout is the slowest, as it waits for the gateway. Everything "
            "slow at once: the database, or too few threads.",
            [
                query(
                    f"histogram_quantile(0.95, sum by (le, view) (rate({HTTP}_bucket{{{CHOSEN}}}"
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
            "Throttled per minute, by scope",
            "Normally none. login: passwords are being guessed; checkout: one customer orders "
            "the same product again and again.",
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
