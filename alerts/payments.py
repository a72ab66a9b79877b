"""Payments and the circuit breaker.

Either web or worker charges and counts an order, so counters are summed over both. Values read from
the database are the same in every process, so rules use `max`.
"""

from alerts.model import Alert, Group, Recording, span
from alerts.queries import last_known, until_scraped
from retail.thresholds import THRESHOLDS, in_words

SUCCESS = THRESHOLDS.payment_success
BREAKER = THRESHOLDS.circuit_breaker
UNKNOWN = THRESHOLDS.unknown_payments
WINDOW = span(SUCCESS.window_seconds)

# The share of fewer payments is not evaluated. `round`: increases are extrapolated.
ENOUGH_PAYMENTS = (
    f"round(sum(service:retail_payments:rate{WINDOW}) * {SUCCESS.window_seconds})"
    f" >= {SUCCESS.least_payments}"
)

RECORDINGS = (
    Recording(
        f"service:retail_orders:rate{WINDOW}",
        f"sum by (outcome) (rate(retail_orders_total[{WINDOW}]))",
    ),
    Recording(
        f"service:retail_payments:rate{WINDOW}",
        f"sum by (outcome) (rate(retail_payments_total[{WINDOW}]))",
    ),
    Recording(
        f"service:retail_payment_attempts:rate{WINDOW}",
        f"sum by (outcome) (rate(retail_payment_attempts_total[{WINDOW}]))",
    ),
    Recording(
        f"service:retail_payment_success:ratio_rate{WINDOW}",
        f'sum(service:retail_payments:rate{WINDOW}{{outcome="completed"}})\n'
        f"/ (sum(service:retail_payments:rate{WINDOW}) > 0)",
    ),
    until_scraped(
        f"service:retail_payment_success:evaluated{WINDOW}",
        f"service:retail_payment_success:ratio_rate{WINDOW}\nand {ENOUGH_PAYMENTS}",
    ),
    last_known(
        "service:retail_circuit_breaker_open:last",
        'max by (breaker) (retail_circuit_breaker_state{state="open"})',
    ),
    last_known(
        "service:retail_payments_unknown_oldest_seconds:last",
        "max(retail_payments_unknown_oldest_seconds)",
    ),
)

SUCCESS_LOW = Alert(
    name="RetailPaymentSuccessLow",
    expr=f"service:retail_payment_success:evaluated{WINDOW} < {SUCCESS.least_ratio}",
    for_seconds=SUCCESS.for_seconds,
    severity="critical",
    service="payments",
    summary="Only {{ $value | humanizePercentage }} of payments succeed",
    description=f"The success rate of settled payments over {in_words(SUCCESS.window_seconds)} "
    f"has been below {SUCCESS.least_ratio:.0%} for {in_words(SUCCESS.for_seconds)}. Declined cards "
    "count as failed. First steps:",
    steps=(
        (
            "Run docker compose logs --since 10m web worker and find event=payment.settled. What "
            "is the reason? Declines come from the gateway or the buyer's bank, not from the shop."
        ),
        (
            "Check the gateway simulator (http://localhost:8001) or the gateway's status page. Is "
            "it declining every card?"
        ),
        "If most declines come from one customer, that customer may be testing stolen cards.",
    ),
    dashboard="retail-payments",
    logs=(("var-logger", "retail.payments"), ("var-logger", "retail.orders")),
)

_OPEN = (
    f"max_over_time(service:retail_circuit_breaker_open:last[{span(BREAKER.window_seconds)}]) == 1"
)
_STEPS = (
    (
        "Check the gateway: docker compose ps gateway and docker compose logs --since 10m gateway. "
        "The gateway simulator's page, http://localhost:8001, shows active faults."
    ),
    (
        "Run docker compose logs --since 10m web worker and find event=payment.attempt. Is the "
        "outcome error or timeout? Timeouts with a healthy gateway point to the network."
    ),
    (
        "The breaker closes automatically within seconds once the gateway responds. In the admin, "
        "under Circuit breakers, you can force it open (planned maintenance) or closed."
    ),
)
_LOGS = (("var-logger", "retail.payments"), ("var-level", "WARNING"))

BREAKER_OPEN = Alert(
    name="RetailCircuitBreakerOpen",
    expr=_OPEN,
    severity="warning",
    service="payments",
    summary="Circuit breaker {{ $labels.breaker }} is open: the shop takes no payments",
    description="Several calls to the payment gateway failed in a row, or someone forced the "
    "breaker open. Checkouts fail immediately and buyers keep their carts. First steps:",
    steps=_STEPS,
    dashboard="retail-payments",
    logs=_LOGS,
)
BREAKER_OPEN_LONG = Alert(
    name="RetailCircuitBreakerOpen",
    expr=_OPEN,
    for_seconds=BREAKER.critical_after_seconds,
    severity="critical",
    service="payments",
    summary="Circuit breaker {{ $labels.breaker }} has been open for "
    f"{in_words(BREAKER.critical_after_seconds)}: the shop takes no payments",
    description="The payment gateway has been failing for a long time, or someone forced the "
    "breaker open. The shop sells almost nothing. First steps:",
    steps=_STEPS,
    dashboard="retail-payments",
    logs=_LOGS,
)

UNKNOWN_STUCK = Alert(
    name="RetailPaymentUnknownStuck",
    expr=f"service:retail_payments_unknown_oldest_seconds:last > {UNKNOWN.most_age_seconds}",
    severity="critical",
    service="payments",
    summary="The outcome of a payment has been unknown for {{ $value | humanizeDuration }}",
    description="The shop does not know whether it charged a customer, and keeps the goods "
    f"reserved. The worker keeps asking the gateway; after {in_words(UNKNOWN.most_age_seconds)} "
    "someone has to investigate. First steps:",
    steps=(
        (
            "Run docker compose ps worker gateway. Both must be up: the worker settles payments by "
            "asking the gateway."
        ),
        (
            "Run docker compose logs --since 30m worker and find event=payment.cancel and "
            "event=payment.finish_failed. How does the gateway respond?"
        ),
        (
            "Never guess the outcome. Ask the gateway's support about the payment key. You find it "
            "in the admin under Payments, status UNKNOWN."
        ),
    ),
    dashboard="retail-payments",
    logs=(
        ("var-service", "worker"),
        ("var-logger", "retail.payments"),
        ("var-logger", "retail.orders"),
    ),
)

GROUPS = (
    Group(
        "retail_payments",
        (*RECORDINGS, SUCCESS_LOW, BREAKER_OPEN, BREAKER_OPEN_LONG, UNKNOWN_STUCK),
    ),
)
