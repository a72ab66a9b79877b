"""Payments and the circuit breaker.

An order is charged and counted by web or worker, so counters are summed over both; what is read
from the database is the same in every process, so it is a maximum.
"""

from alerts.model import Alert, Group, Recording, span
from retail.thresholds import THRESHOLDS

SUCCESS = THRESHOLDS.payment_success
BREAKER = THRESHOLDS.circuit_breaker
UNKNOWN = THRESHOLDS.unknown_payments
WINDOW = span(SUCCESS.window_seconds)

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
)

SUCCESS_LOW = Alert(
    name="RetailPaymentSuccessLow",
    expr=f"service:retail_payment_success:ratio_rate{WINDOW} < {SUCCESS.least_ratio}\n"
    f"and round(sum(service:retail_payments:rate{WINDOW}) * {SUCCESS.window_seconds})"
    f" >= {SUCCESS.least_payments}",
    for_seconds=SUCCESS.for_seconds,
    severity="critical",
    service="payments",
    summary="Only {{ $value | humanizePercentage }} of the payments succeed",
    description=f"Fewer than {SUCCESS.least_ratio:.0%} of the payments settled in the last "
    f"{WINDOW} were completed, for {span(SUCCESS.for_seconds)}; declined cards count as failed. "
    "First steps:",
    steps=(
        (
            "docker compose logs --since 10m web worker, lines event=payment.settled: what is the "
            "reason? Declines come from the gateway or the buyers' banks, not from the shop."
        ),
        (
            "Look at the gateway's own page (http://localhost:8001) or its status page: is it "
            "declining everybody?"
        ),
        "Many declines of one customer: somebody is trying stolen cards.",
    ),
    dashboard="retail-payments",
    logs=(("var-logger", "retail.payments"), ("var-logger", "retail.orders")),
)

_OPEN = (
    'max by (breaker) (max_over_time(retail_circuit_breaker_state{state="open"}'
    f"[{span(BREAKER.window_seconds)}])) == 1"
)
_STEPS = (
    (
        "Look at the gateway: docker compose ps gateway; docker compose logs --since 10m gateway; "
        "its page on http://localhost:8001 shows faults that are switched on."
    ),
    (
        "docker compose logs --since 10m web worker, lines event=payment.attempt: error or "
        "timeout? A timeout with a healthy gateway is the network between."
    ),
    (
        "The breaker closes by itself within seconds once the gateway answers. In the admin, "
        "Circuit breakers, it can be forced open (a maintenance was announced) or closed."
    ),
)
_LOGS = (("var-logger", "retail.payments"), ("var-level", "WARNING"))

BREAKER_OPEN = Alert(
    name="RetailCircuitBreakerOpen",
    expr=_OPEN,
    severity="warning",
    service="payments",
    summary="The circuit breaker {{ $labels.breaker }} is open: no payments are taken",
    description="The payment gateway did not answer several times in a row (or the breaker was "
    "forced open). Buyers are refused at once and keep their carts. First steps:",
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
    summary="The circuit breaker {{ $labels.breaker }} has been open for "
    f"{span(BREAKER.critical_after_seconds)}: no payments are taken",
    description="The payment gateway has not answered for a long time (or the breaker was forced "
    "open). The shop sells nothing. First steps:",
    steps=_STEPS,
    dashboard="retail-payments",
    logs=_LOGS,
)

UNKNOWN_STUCK = Alert(
    name="RetailPaymentUnknownStuck",
    expr=f"max(retail_payments_unknown_oldest_seconds) > {UNKNOWN.most_age_seconds}",
    severity="critical",
    service="payments",
    summary="A payment has had no answer for {{ $value | humanizeDuration }}",
    description="The shop does not know whether a customer was charged, and keeps the goods back. "
    f"The worker asks the gateway until it says so; after {span(UNKNOWN.most_age_seconds)} "
    "somebody has to look. First steps:",
    steps=(
        (
            "docker compose ps worker gateway: the worker finishes payments, the gateway has to "
            "answer it."
        ),
        (
            "docker compose logs --since 30m worker, lines event=payment.cancel and "
            "event=payment.finish_failed: what does the gateway answer?"
        ),
        (
            "Never settle by guess. Ask the gateway's support about the payment key, which is in "
            "the admin, Payments, status UNKNOWN."
        ),
    ),
    dashboard="retail-payments",
    logs=(("var-service", "worker"), ("var-logger", "retail.payments")),
)

GROUPS = (
    Group(
        "retail_payments",
        (*RECORDINGS, SUCCESS_LOW, BREAKER_OPEN, BREAKER_OPEN_LONG, UNKNOWN_STUCK),
    ),
)
