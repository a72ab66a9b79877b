"""Scenario A1: a flash sale sells what there is, and not one unit more."""

from grafana.page import page
from grafana.parts import (
    BAD,
    GOOD,
    PLAIN,
    WARN,
    override,
    quantiles,
    query,
    series,
    stat,
    steps,
    window,
)
from grafana.shared import SLOW, TIME_STEPS, breaker_now, oversold_now
from retail.thresholds import THRESHOLDS

CONFLICTS = THRESHOLDS.stock_conflicts
CONFLICT_STEPS = steps((CONFLICTS.most_conflicts + 1, BAD))
CONFLICT_WINDOW = window(CONFLICTS.window_seconds)
CHECKOUT = "retail_checkout_duration_seconds"
FLASH = 'kind="flash"'

PAGE = page(
    "retail-flash-sale",
    "Scenario A1: many buyers, few units. Nothing is oversold, nobody waits for the payment.",
    [
        oversold_now(size=(4, 4)),
        stat(
            "Stock conflicts",
            "Checkouts that only the database's own constraint stopped, in the last "
            f"{CONFLICT_WINDOW}. Always 0: each is a bug in a check before it. Find "
            "event=stock.conflict in the logs.",
            [query(f"sum(increase(retail_stock_conflicts_total[{CONFLICT_WINDOW}]))", now=True)],
            thresholds=CONFLICT_STEPS,
            decimals=0,
        ),
        stat(
            "Sold out in this time",
            "Buyers who were told that the stock is gone: the protection at work, never an "
            "alert. Many of them: tell the merchandiser.",
            [query("sum(increase(retail_sold_out_total[$__range]))", now=True)],
            thresholds=steps(base=PLAIN),
            paint="value",
            decimals=0,
        ),
        stat(
            "Throttled in this time",
            "Checkouts refused because one customer ordered the same product too often. Some are "
            "normal in a sale; very many are one buyer's robot.",
            [
                query(
                    'sum(increase(retail_throttled_requests_total{scope="checkout"}[$__range]))',
                    now=True,
                )
            ],
            thresholds=steps(base=PLAIN),
            paint="value",
            decimals=0,
        ),
        stat(
            "Unknown payments",
            "Payments whose outcome the gateway has not told: their units stay reserved. Normally "
            "0. Climbing in a sale: see Payments and breaker, and is the worker up?",
            [query("max(retail_payments_unknown)", now=True)],
            thresholds=steps((1, WARN)),
        ),
        breaker_now(size=(4, 4)),
        series(
            "Flash checkouts per minute, by answer",
            "Pending is normal: reserved, and paid in the background. Sold out follows when the "
            "stock is gone. conflict or error: bugs; payment_unavailable: the breaker was open.",
            [
                query(
                    f"sum by (outcome) (rate({CHECKOUT}_count{{{FLASH}}}[$__rate_interval])) * 60",
                    "{{outcome}}",
                )
            ],
            size=(12, 8),
            unit="short",
            stacked=True,
        ),
        series(
            "Time to answer a flash checkout",
            "Does not include the payment, so well below the lines however many buyers there "
            "are. Slow: buyers wait for the product's row; look at the database. A dot leads to "
            "its request.",
            quantiles(f"{CHECKOUT}", FLASH),
            size=(12, 8),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=THRESHOLDS.response_time.most_seconds,
            links=[SLOW],
        ),
        series(
            "Sold out, throttled, conflicts per minute",
            "Sold out and throttled may jump when a sale begins: they protect stock and shop. "
            "Conflicts must stay at 0.",
            [
                query("sum(rate(retail_sold_out_total[$__rate_interval])) * 60", "sold_out"),
                query(
                    "sum(rate(retail_throttled_requests_total"
                    '{scope="checkout"}[$__rate_interval])) * 60',
                    "throttled",
                ),
                query("sum(rate(retail_stock_conflicts_total[$__rate_interval])) * 60", "conflict"),
            ],
            size=(12, 8),
            unit="short",
            overrides=[override("throttled", color={"mode": "fixed", "fixedColor": WARN})],
        ),
        series(
            "Orders confirmed per minute",
            "Paid and counted by the worker for flash sales, by web for the rest. During a sale "
            "it follows the checkouts within seconds; if it stays behind, look at Payments and "
            "breaker.",
            [
                query(
                    'sum(rate(retail_orders_total{outcome="confirmed"}[$__rate_interval])) * 60',
                    "confirmed",
                )
            ],
            size=(12, 8),
            unit="short",
        ),
        series(
            "Promises about stock",
            "Rows that break one, found by the audit each minute. Always 0. If not: see the "
            "runbooks of RetailOversold and RetailInvariantViolated; the ledger is the evidence.",
            [
                query("max(retail_oversold_units)", "oversold units"),
                query(
                    "max by (invariant) (retail_invariant_violations"
                    '{invariant=~"ledger_equals_stock|sold_within_offered"})',
                    "{{invariant}}",
                ),
            ],
            size=(12, 8),
            unit="short",
            thresholds=steps((THRESHOLDS.oversold.most_units + 1, BAD)),
            soft_most=2,
            decimals=0,
        ),
        series(
            "Database transactions",
            "What the sale costs the database. Rollbacks beyond a few per second: checkouts in "
            "each other's way. See PostgreSQL and processes.",
            [
                query(
                    'sum(rate(pg_stat_database_xact_commit{datname!~"|postgres|template.*"}[$__rate_interval]))',
                    "committed",
                ),
                query(
                    'sum(rate(pg_stat_database_xact_rollback{datname!~"|postgres|template.*"}[$__rate_interval]))',
                    "rolled back",
                ),
            ],
            size=(12, 8),
            unit="ops",
            overrides=[
                override("committed", color={"mode": "fixed", "fixedColor": GOOD}),
                override("rolled back", color={"mode": "fixed", "fixedColor": WARN}),
            ],
        ),
    ],
)
