"""Refunds: money that is owed to customers. The values are the same in every process."""

from alerts.model import Alert, Group
from alerts.queries import last_known
from retail.thresholds import THRESHOLDS, in_words

LIMIT = THRESHOLDS.refunds
_LOGS = (
    ("var-service", "worker"),
    ("var-logger", "retail.returns"),
    ("var-logger", "retail.payments"),
)

RECORDINGS = (
    last_known(
        "service:retail_refunds_unsettled_oldest_seconds:last",
        "max by (state) (retail_refunds_unsettled_oldest_seconds)",
    ),
    last_known("service:retail_refunds_reopened:last", "max(retail_refunds_reopened)"),
)
_AGE = RECORDINGS[0].record

STUCK = Alert(
    name="RetailRefundStuck",
    expr=f'{_AGE}{{state=~"requested|unknown"}} > {LIMIT.most_age_seconds}\n'
    f'or {_AGE}{{state="pending"}} > {LIMIT.pending_most_age_seconds}',
    severity="warning",
    service="payments",
    summary="A refund has been {{ $labels.state }} for {{ $value | humanizeDuration }}",
    description="A customer waits for money that nobody refused. The gateway should accept a "
    f"refund within {in_words(LIMIT.most_age_seconds)}, and pay out one that it has accepted "
    f"(pending) within {in_words(LIMIT.pending_most_age_seconds)}. First steps:",
    steps=(
        (
            "Run docker compose ps worker gateway. Both must be up: the worker sends refunds, and "
            "asks the gateway about them."
        ),
        (
            "Run docker compose logs --since 30m worker and find event=refund.attempt. How does "
            "the gateway respond? Nothing is sent while the circuit breaker is open."
        ),
        (
            "If it is pending, ask the gateway's support about it. The desk, /desk/returns/, has "
            "its reference. Never send the money a second time before you know the outcome."
        ),
    ),
    dashboard="retail-shop",
    logs=_LOGS,
)

FAILED = Alert(
    name="RetailRefundFailed",
    expr=f"{RECORDINGS[1].record} > {LIMIT.most_failed_refunds}",
    severity="warning",
    service="payments",
    summary="Refunds that failed and are not paid out yet: {{ $value }}",
    description="A refund failed, perhaps after it had been paid out, or nobody knows its outcome. "
    "The money is owed to the customer. The worker tries again by itself if that can help. First "
    "steps:",
    steps=(
        (
            "Open /desk/returns/. The refunds that need a person are on top, each with the "
            "reason: the gateway could not pay it out, the charge is disputed, or unknown."
        ),
        (
            "Failed: on the refund's page, try it again, or pay it another way, such as by bank "
            "transfer, and record that there."
        ),
        (
            "Unknown: ask the gateway's support about the reference, and record on the page "
            "whether it was paid out. Never guess."
        ),
    ),
    dashboard="retail-shop",
    logs=_LOGS,
)

GROUPS = (Group("retail_refunds", (*RECORDINGS, STUCK, FAILED)),)
