"""Scenario A2: the gateway fails, the circuit breaker opens, and no payment is lost."""

from alerts.model import span
from grafana.page import page
from grafana.parts import (
    BAD,
    QUIET,
    WARN,
    instead,
    logs_link,
    override,
    series,
    stat,
    states,
    steps,
)
from grafana.queries import or_none, quantiles, query
from grafana.shared import (
    BREAKER,
    BREAKER_WORDS,
    PAID_WINDOW,
    breaker_now,
    good_checkouts_now,
    orders,
    success_now,
    success_over_time,
)
from retail.thresholds import THRESHOLDS, in_words

UNKNOWN = THRESHOLDS.unknown_payments
FAST = THRESHOLDS.fast_fail
SLO = THRESHOLDS.slo
CALL_WINDOW = span(SLO.base_seconds)
LOGS = logs_link("Logs of calls to the gateway", logger="retail.payments")
UNKNOWN_STEPS = steps((UNKNOWN.most_age_seconds / 5, WARN), (UNKNOWN.most_age_seconds, BAD))
CHARGES = 'gateway_requests_total{operation="charge"}'
FAST_FAIL = "retail_fast_fail_duration_seconds"
FAST_STEPS = steps((FAST.most_seconds, BAD))

PAGE = page(
    "retail-payments",
    "Scenario A2: responses of the payment gateway, and the state of the circuit breaker.",
    [
        breaker_now(size=(3, 4)),
        success_now(size=(3, 4)),
        good_checkouts_now(size=(4, 4)),
        stat(
            "Failed calls",
            "Ratio of errors and timeouts among calls to the gateway, over the last "
            f"{in_words(SLO.base_seconds)}. Declines are not failures. Normally 0. Check the "
            "gateway's page or status page.",
            **instead(
                f"service:retail_payment_call_errors:ratio_rate{CALL_WINDOW}",
                (f"service:retail_payment_calls:rate{CALL_WINDOW} == 0", "no calls"),
            ),
            size=(3, 4),
            unit="percentunit",
            decimals=1,
            thresholds=steps(
                (1 - SLO.payment_objective_ratio, WARN),
                (THRESHOLDS.error_rate.most_ratio, BAD),
            ),
            links=[LOGS],
        ),
        stat(
            "Unknown payments",
            "Payments whose outcome is not known yet. Normally 0, with some during an outage. The "
            "worker settles them. Never guess an outcome.",
            [query("max(retail_payments_unknown)", now=True)],
            thresholds=steps((1, WARN)),
        ),
        stat(
            "Oldest unknown payment",
            "The worker retries the charge and later cancels it. If it is older than "
            f"{in_words(UNKNOWN.most_age_seconds)}, the gateway does not respond to cancellations "
            "either: contact its support.",
            [query("max(retail_payments_unknown_oldest_seconds)", now=True)],
            unit="s",
            decimals=0,
            thresholds=UNKNOWN_STEPS,
        ),
        stat(
            f"p{100 * FAST.least_ratio:g} fast-fail time",
            "How long buyers wait for the response that payments are unavailable. Must be below "
            f"{FAST.most_seconds * 1000:g} ms while the circuit breaker is open.",
            **instead(
                f"histogram_quantile({FAST.least_ratio}, sum by (le) "
                f"(increase({FAST_FAIL}_bucket[$__range]))) >= 0",
                (f"sum(increase({FAST_FAIL}_count[$__range])) == 0", "none"),
            ),
            size=(3, 4),
            unit="s",
            thresholds=FAST_STEPS,
        ),
        states(
            "Circuit breaker",
            "Normally closed. Open: checkouts fail immediately. Half-open: one payment at a time "
            "probes whether the gateway is back. If it stays open after the gateway has recovered, "
            "check whether it is forced open.",
            [query(BREAKER, "payments")],
            size=(24, 4),
            mappings=BREAKER_WORDS,
        ),
        series(
            "Calls to the gateway per minute, by outcome",
            "Normally approved, with a few declined. error and timeout come from the gateway or "
            "the network. short_circuited are calls that the circuit breaker rejected.",
            [query(f"service:retail_payment_attempts:rate{PAID_WINDOW} * 60", "{{outcome}}")],
            size=(12, 8),
            unit="short",
            stacked=True,
            links=[LOGS],
        ),
        series(
            "Settled payments per minute",
            "Payments with a final outcome: completed, or failed (declined, or cancelled after no "
            "response). Lags behind the calls only while the gateway fails.",
            [query(f"service:retail_payments:rate{PAID_WINDOW} * 60", "{{outcome}}")],
            size=(12, 8),
            unit="short",
            stacked=True,
        ),
        success_over_time(size=(12, 8)),
        series(
            "Gateway call duration",
            "Normally a few hundred milliseconds. At the read timeout (3 s), calls hang and block "
            "the shop's threads until the circuit breaker opens. Exemplars link to their request.",
            quantiles("retail_payment_duration_seconds"),
            size=(12, 8),
            unit="s",
            links=[LOGS],
        ),
        series(
            "Unknown payments",
            "Rises during an outage and falls to 0 within minutes after it. If it does not, check "
            "that the worker is up and that the gateway responds to cancellations.",
            [query("max(retail_payments_unknown)", "unknown")],
            size=(8, 8),
            unit="short",
            decimals=0,
            soft_most=2,
            overrides=[override("unknown", color={"mode": "fixed", "fixedColor": "purple"})],
        ),
        series(
            "Circuit breaker transitions per minute",
            "Normally none. During an outage it opens, becomes half-open every 5 s, and opens "
            "again. Transitions without an outage mean that the gateway fails intermittently.",
            [
                query(
                    "sum by (to) (rate(retail_circuit_breaker_transitions_total[$__rate_interval]))"
                    " * 60",
                    "to {{to}}",
                )
            ],
            size=(8, 8),
            unit="short",
            decimals=0,
            soft_most=2,
            bars=True,
            stacked=True,
            overrides=[
                override("to open", color={"mode": "fixed", "fixedColor": BAD}),
                override("to half_open", color={"mode": "fixed", "fixedColor": WARN}),
                override("to closed", color={"mode": "fixed", "fixedColor": "green"}),
            ],
        ),
        series(
            "Fast-fail time",
            "Duration of requests that were rejected because the circuit breaker is open. Above "
            f"{FAST.most_seconds * 1000:g} ms the page itself is slow: see HTTP by view.",
            quantiles(FAST_FAIL, of=(0.5, FAST.least_ratio)),
            size=(8, 8),
            unit="s",
            thresholds=FAST_STEPS,
            soft_most=FAST.most_seconds * 1.5,
        ),
        orders(size=(12, 8)),
        series(
            "Gateway simulator: charges per second, by outcome",
            "The same calls as counted by the gateway simulator. error, hang, lost_answer, "
            "garbage, trickle and off are faults that someone switched on.",
            [
                query(
                    or_none(
                        f"sum by (outcome) (rate({CHARGES}[$__rate_interval])) > 0",
                        f"sum(rate({CHARGES}[$__rate_interval]))",
                        "outcome",
                    ),
                    "{{outcome}}",
                )
            ],
            size=(12, 8),
            unit="reqps",
            overrides=[
                override("ok", color={"mode": "fixed", "fixedColor": "green"}),
                override("refused", color={"mode": "fixed", "fixedColor": QUIET}),
            ],
        ),
    ],
)
