"""The panels of returns and refunds on the shop's dashboard."""

from grafana.parts import BAD, PLAIN, WARN, logs_link, row, series, stat, steps
from grafana.queries import Json, or_none, quantiles, query
from grafana.shared import CURRENCIES
from retail.thresholds import THRESHOLDS, in_words

LIMIT = THRESHOLDS.refunds
LOGS = logs_link("Logs of returns and refunds", logger="retail.returns")
_AMOUNT = "increase(retail_refund_amount_total[$__range])"
# Only currencies in which something was paid out in the selected time range.
AMOUNT = f"sum by (currency) ({_AMOUNT}) > 0"

NOW = (
    stat(
        "Refunded",
        "Money paid out by refunds in the selected time range, per currency. Compare it with "
        "Revenue above: a sudden rise points to a bad product or to fraud.",
        [query(or_none(AMOUNT, f"sum({_AMOUNT})", "currency"), "{{currency}}", now=True)],
        size=(6, 4),
        paint="value",
        thresholds=steps(base=PLAIN),
        overrides=CURRENCIES,
    ),
    stat(
        "Refunds after a failure",
        "Refunds that failed and are not paid out yet. Normally 0; above it, RetailRefundFailed "
        "fires. The desk, /desk/returns/, shows which need a person, and why.",
        [query("max(retail_refunds_reopened)", now=True)],
        size=(6, 4),
        thresholds=steps((LIMIT.most_failed_refunds + 1, BAD)),
        links=[LOGS],
    ),
    stat(
        "Oldest refund on its way",
        "Not accepted by the gateway yet. Beyond "
        f"{in_words(LIMIT.most_age_seconds)}, RetailRefundStuck fires: check the worker and the "
        "gateway.",
        [
            query(
                'max(retail_refunds_unsettled_oldest_seconds{state=~"requested|unknown"})',
                now=True,
            )
        ],
        size=(6, 4),
        unit="s",
        decimals=0,
        thresholds=steps((LIMIT.most_age_seconds / 2, WARN), (LIMIT.most_age_seconds, BAD)),
    ),
    stat(
        "Oldest pending refund",
        "Accepted by the gateway; banks take days to pay it out. Beyond "
        f"{in_words(LIMIT.pending_most_age_seconds)}, RetailRefundStuck fires: ask the gateway's "
        "support.",
        [query('max(retail_refunds_unsettled_oldest_seconds{state="pending"})', now=True)],
        size=(6, 4),
        unit="s",
        decimals=0,
        thresholds=steps(
            (LIMIT.pending_most_age_seconds / 2, WARN), (LIMIT.pending_most_age_seconds, BAD)
        ),
    ),
)

GRAPHS = (
    series(
        "Refunds per day, by outcome",
        "Counted when it happens: first requested, then succeeded, for most. failed after "
        "succeeded is a payout that came back. needs_human: nobody knows the outcome.",
        [query("sum by (outcome) (increase(retail_refunds_total[1d]))", "{{outcome}}")],
        size=(12, 8),
        unit="short",
        decimals=0,
        links=[LOGS],
    ),
    series(
        "Unsettled refunds, by state",
        "Normally few, and pending ones for days. owed and needs_human wait for staff: see the "
        "desk, /desk/returns/. If requested grows, the worker does not send.",
        [query("max by (state) (retail_refunds_unsettled)", "{{state}}")],
        size=(12, 8),
        unit="short",
        decimals=0,
        stacked=True,
    ),
    series(
        "Refund requests to the gateway per minute, by outcome",
        "Normally accepted. refused: disputed, or more than was charged. error and timeout come "
        "from the gateway or the network; short_circuited from the circuit breaker.",
        [
            query(
                "sum by (outcome) (rate(retail_refund_attempts_total[$__rate_interval])) * 60",
                "{{outcome}}",
            )
        ],
        size=(12, 8),
        unit="short",
        stacked=True,
        links=[logs_link("Logs of calls to the gateway", logger="retail.payments")],
    ),
    series(
        "Refund request duration",
        "How long the gateway takes to accept a refund. Normally a few hundred milliseconds. Only "
        "the worker waits for it, no customer.",
        quantiles("retail_refund_duration_seconds"),
        size=(12, 8),
        unit="s",
    ),
    series(
        "Time until a refund is paid out",
        "From the request to the payout, of refunds paid out in the last day. Seconds to days: it "
        "depends on the gateway and the bank. Customers ask when it grows.",
        [
            query(
                f"histogram_quantile({rank}, sum by (le) "
                "(increase(retail_refund_settled_seconds_bucket[1d])))",
                legend,
            )
            for rank, legend in ((0.5, "median"), (0.95, "p95"))
        ],
        size=(8, 8),
        unit="s",
    ),
    series(
        "Returns that wait, by status",
        "requested wait for approval, approved for the parcel, received for the refund. If "
        "requested grows, staff does not keep up: see /desk/returns/.",
        [query("max by (status) (retail_returns_waiting)", "{{status}}")],
        size=(8, 8),
        unit="short",
        decimals=0,
        stacked=True,
    ),
    series(
        "Oldest return, by status",
        "How long the oldest return has waited since it was requested. Customers expect an answer "
        "to a request within days; approved ones wait for their parcel.",
        [query("max by (status) (retail_returns_oldest_seconds)", "{{status}}")],
        size=(8, 8),
        unit="s",
    ),
    series(
        "Returns per day, by status",
        "Returns that reached each status in the last day. Many requested ones of a single product "
        "point to a fault of it; rejected and expired ones to unclear terms.",
        [query("sum by (status) (increase(retail_returns_total[1d]))", "{{status}}")],
        size=(24, 7),
        unit="short",
        decimals=0,
    ),
)

PANELS: list[Json] = [row("Returns and refunds"), *NOW, *GRAPHS]
