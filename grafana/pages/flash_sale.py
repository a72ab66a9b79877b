"""Scenario A1: a flash sale never sells more than the stock."""

from alerts.model import span
from grafana.page import page
from grafana.parts import BAD, GOOD, PLAIN, WARN, override, series, stat, steps
from grafana.queries import quantiles, query
from grafana.shared import SLOW, TIME_STEPS, breaker_now, oversold_now
from retail.thresholds import THRESHOLDS, in_words

CONFLICTS = THRESHOLDS.stock_conflicts
CONFLICT_STEPS = steps((CONFLICTS.most_conflicts + 1, BAD))
CONFLICT_WINDOW = span(CONFLICTS.window_seconds)
CHECKOUT = "retail_checkout_duration_seconds"
FLASH = 'kind="flash"'

PAGE = page(
    "retail-flash-sale",
    "Scenario A1: many buyers, few units. Nothing is oversold, and no buyer waits for the payment.",
    [
        oversold_now(size=(4, 4)),
        stat(
            "Stock conflicts",
            "Checkouts that only a database constraint rejected, in the last "
            f"{in_words(CONFLICTS.window_seconds)}. Must be 0: each one is a bug in an earlier "
            "check. Find event=stock.conflict in the logs.",
            [query(f"sum(increase(retail_stock_conflicts_total[{CONFLICT_WINDOW}]))", now=True)],
            thresholds=CONFLICT_STEPS,
            decimals=0,
        ),
        stat(
            "Sold-out checkouts",
            "Checkouts rejected as sold out, in the selected time range. This is expected and "
            "there is no alert for it. If there are many, tell the merchandiser.",
            [query("sum(increase(retail_sold_out_total[$__range]))", now=True)],
            thresholds=steps(base=PLAIN),
            paint="value",
            decimals=0,
        ),
        stat(
            "Throttled checkouts",
            "Checkouts rejected because a customer ordered the same product too often, in the "
            "selected time range. Some are normal in a sale. Very many point to a bot.",
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
            "Payments whose outcome is not known yet. Their units stay reserved. Normally 0. If it "
            "rises during a sale, check Payments and circuit breaker, and that the worker is up.",
            [query("max(retail_payments_unknown)", now=True)],
            thresholds=steps((1, WARN)),
        ),
        breaker_now(size=(4, 4)),
        series(
            "Flash checkouts per minute, by outcome",
            "pending is normal: the units are reserved and the payment follows in the background. "
            "sold_out starts when the stock is gone. conflict and error are bugs. "
            "payment_unavailable: the circuit breaker was open.",
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
            "Flash checkout duration",
            "Does not include the payment, so it stays well below the threshold lines with any "
            "number of buyers. If it is slow, buyers wait for the product's row lock: check the "
            "database. Exemplars link to their request.",
            quantiles(f"{CHECKOUT}", FLASH),
            size=(12, 8),
            unit="s",
            thresholds=TIME_STEPS,
            soft_most=THRESHOLDS.response_time.most_seconds,
            links=[SLOW],
        ),
        series(
            "Rejected checkouts per minute",
            "sold_out and throttled can jump when a sale starts: they protect stock and shop. "
            "conflict must stay at 0. If not, see the runbook of RetailStockConflict.",
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
            "Confirmed orders per minute",
            "The worker charges and counts flash-sale orders, web all others. During a sale this "
            "follows the checkouts within seconds. If it lags, check Payments and circuit breaker.",
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
            "Stock invariants",
            "Violations that the audit found; it runs every minute. Must be 0. If not, see the "
            "runbooks of RetailOversold and RetailInvariantViolated. The ledger is the evidence.",
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
            "Load of the sale on the database. More than a few rollbacks per second mean that "
            "checkouts contend with each other. See PostgreSQL and processes.",
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
