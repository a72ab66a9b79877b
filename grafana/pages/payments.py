"""Scenario A2: the gateway fails, the breaker opens, buyers are told, no payment is lost."""

from grafana.page import page
from grafana.parts import (
    BAD,
    PLAIN,
    QUIET,
    WARN,
    link,
    override,
    quantiles,
    query,
    series,
    stat,
    states,
    steps,
    window,
)
from grafana.shared import (
    BREAKER,
    BREAKER_WORDS,
    PAID_WINDOW,
    SUCCESS_LINES,
    SUCCESS_RATE,
    breaker_now,
    orders,
    success_now,
)
from retail.thresholds import THRESHOLDS

UNKNOWN = THRESHOLDS.unknown_payments
FAST = THRESHOLDS.fast_fail
SLO = THRESHOLDS.slo
CALL_WINDOW = window(SLO.base_seconds)
LOGS = link("What the calls to the gateway logged", "retail-logs", "&var-logger=retail.payments")
UNKNOWN_STEPS = steps((UNKNOWN.most_age_seconds / 5, WARN), (UNKNOWN.most_age_seconds, BAD))
FAST_STEPS = steps((FAST.most_seconds, BAD))

PAGE = page(
    "retail-payments",
    "Scenario A2: what the payment gateway answers, and what the circuit breaker does about it.",
    [
        breaker_now(size=(4, 4)),
        success_now(size=(4, 4)),
        stat(
            "Calls without an answer",
            f"Errors and time-outs of all calls to the gateway in the last {CALL_WINDOW}; a "
            "decline is an answer. Normally 0. See the gateway's own page or status page.",
            [query(f"service:retail_payment_call_errors:ratio_rate{CALL_WINDOW}", now=True)],
            unit="percentunit",
            decimals=1,
            thresholds=steps(
                (1 - SLO.payment_objective_ratio, WARN),
                (THRESHOLDS.error_rate.most_ratio, BAD),
            ),
            no_value="no calls",
            links=[LOGS],
        ),
        stat(
            "Unknown payments",
            "Payments whose outcome the gateway has not told. Normally 0; some during an outage. "
            "The worker finishes them: never settle one by guess.",
            [query("max(retail_payments_unknown)", now=True)],
            thresholds=steps((1, WARN)),
        ),
        stat(
            "Oldest unknown payment",
            "The worker sends it again, and later cancels it. Older than "
            f"{window(UNKNOWN.most_age_seconds)}: the gateway does not even answer that; call its "
            "support.",
            [query("max(retail_payments_unknown_oldest_seconds)", now=True)],
            unit="s",
            decimals=0,
            thresholds=UNKNOWN_STEPS,
        ),
        stat(
            "Refusal while open",
            "How long a buyer waits to be told that payments are unavailable, 95 of 100. Must be "
            f"below {FAST.most_seconds * 1000:g} ms, or the breaker protects nobody.",
            [
                query(
                    "histogram_quantile(0.95, sum by (le) "
                    "(increase(retail_fast_fail_duration_seconds_bucket[$__range]))) >= 0",
                    now=True,
                )
            ],
            unit="s",
            thresholds=FAST_STEPS,
            no_value="none refused",
        ),
        states(
            "Circuit breaker",
            "Closed is normal. Open: buyers are refused at once. Half open: one buyer's payment "
            "tries whether the gateway is back. Open for longer than the gateway's outage: look "
            "at the worker.",
            [query(BREAKER, "payments")],
            size=(24, 4),
            mappings=BREAKER_WORDS,
        ),
        series(
            "Calls to the gateway per minute, by answer",
            "Approved is normal, a few declined too. Error and timeout come from the gateway or "
            "the network; short_circuited are calls that the breaker held back.",
            [query(f"service:retail_payment_attempts:rate{PAID_WINDOW} * 60", "{{outcome}}")],
            size=(12, 8),
            unit="short",
            stacked=True,
            links=[LOGS],
        ),
        series(
            "Payments settled per minute",
            "For good: completed or failed (a decline, or cancelled after no answer). Stays "
            "behind the calls only while the gateway does not answer.",
            [query(f"service:retail_payments:rate{PAID_WINDOW} * 60", "{{outcome}}")],
            size=(12, 8),
            unit="short",
            stacked=True,
        ),
        series(
            "Payment success",
            f"Completed of settled payments over {PAID_WINDOW}, declines included. Below the red "
            f"line for {window(THRESHOLDS.payment_success.for_seconds)} somebody is woken: are "
            "banks declining, or are calls not answered?",
            [query(SUCCESS_RATE, "payment success")],
            size=(12, 8),
            unit="percentunit",
            least=None,
            soft_least=0.9,
            most=1,
            thresholds=SUCCESS_LINES,
            overrides=[override("payment success", color={"mode": "fixed", "fixedColor": PLAIN})],
        ),
        series(
            "Time of a call to the gateway",
            "Normally a few hundred milliseconds. At the read time-out (3 s) calls hang and tie "
            "up the shop's threads until the breaker opens. A dot leads to its request.",
            quantiles("retail_payment_duration_seconds"),
            size=(12, 8),
            unit="s",
            links=[LOGS],
        ),
        series(
            "Unknown payments",
            "Rises in an outage, and falls to 0 within minutes after it. If it stays: is the "
            "worker up, and does the gateway answer cancellations?",
            [query("max(retail_payments_unknown)", "unknown")],
            size=(8, 8),
            unit="short",
            decimals=0,
            soft_most=2,
            overrides=[override("unknown", color={"mode": "fixed", "fixedColor": "purple"})],
        ),
        series(
            "Breaker transitions per minute",
            "Normally none. In an outage it opens, tries half open every 5 s, and opens again. "
            "To and fro without an outage: the gateway fails now and then.",
            [
                query(
                    "sum by (to) (increase(retail_circuit_breaker_transitions_total[1m]))",
                    "to {{to}}",
                )
            ],
            size=(8, 8),
            unit="short",
            decimals=0,
            soft_most=2,
            bars=True,
            overrides=[
                override("to open", color={"mode": "fixed", "fixedColor": BAD}),
                override("to half_open", color={"mode": "fixed", "fixedColor": WARN}),
                override("to closed", color={"mode": "fixed", "fixedColor": "green"}),
            ],
        ),
        series(
            "Time to refuse while open",
            "The whole request of a buyer who was refused, 95 of 100; drawn only while the "
            f"breaker is open. Above {FAST.most_seconds * 1000:g} ms the page itself is slow: see "
            "HTTP by view.",
            quantiles("retail_fast_fail_duration_seconds"),
            size=(8, 8),
            unit="s",
            thresholds=FAST_STEPS,
            soft_most=FAST.most_seconds * 1.5,
            no_value="Nobody was refused in this time",
        ),
        orders(size=(12, 8)),
        series(
            "At the gateway: charges per second, by how they ended",
            "What the simulated gateway says of itself; it is the other side of the calls above. "
            "error, hang, lost_answer, garbage and off are faults that somebody switched on.",
            [
                query(
                    "sum by (outcome) (rate(gateway_requests_total"
                    '{operation="charge"}[$__rate_interval])) > 0',
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
