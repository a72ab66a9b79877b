"""The metrics of the dashboard: key, label and unit of each number of `retail.measures`.

A metric of one step is a point on a chart; a metric of the whole range is the number on a card.
Page, API and CSV file all use these definitions.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from orders.models import Payment
from retail import measures
from retail.observability.prometheus.catalogue import THROTTLE_SCOPES
from retail.observability.rows.intervals import DURATION_BOUNDS_MS
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from retail.measures import Window

Value = int | float | Decimal | None
"""None if there is no data; zero is always a measured zero."""

UNKNOWN_AGE = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
FAST_FAIL = f"p{100 * THRESHOLDS.fast_fail.least_ratio:g}"
KINDS = (
    "orders_per_day",
    "refunds_per_day",
    "error_rate",
    "avg_response_time",
    "payment_success_rate",
    "circuit_breaker_state",
    "throttled_requests",
    "stock_conflicts",
)


@dataclass(frozen=True)
class MetricDefinition:
    """A number: its unit, its definition, and the function that computes it."""

    key: str
    label: str
    unit: str
    of: Callable[[Window], Value]
    decimals: int = 0
    definition: str = ""

    @property
    def described(self) -> str:
        """The definition: its own, or the function's docstring."""
        return self.definition or " ".join((inspect.getdoc(self.of) or "").split())


_BOUNDS = f"{', '.join(map(str, DURATION_BOUNDS_MS[:-1]))} and {DURATION_BOUNDS_MS[-1]}"
_REASONS = {
    Payment.Failure.DECLINED: "Payments whose card was declined.",
    Payment.Failure.CANCELLED: "Payments cancelled at the gateway, after it had not answered.",
    Payment.Failure.REJECTED: "Payments whose charge the gateway does not accept.",
    Payment.Failure.UNSENT: "Payments that could not be sent to the gateway in time.",
}

MEASURES: dict[str, MetricDefinition] = {
    metric.key: metric
    for metric in (
        MetricDefinition("orders", "Orders", "orders", measures.orders),
        MetricDefinition("revenue", "Revenue", settings.CURRENCY, measures.revenue, 2),
        MetricDefinition("refunds", "Refunds", "refunds", measures.refunds),
        MetricDefinition("refund_amount", "Refunded", settings.CURRENCY, measures.refund_amount, 2),
        MetricDefinition("requests", "Requests", "requests", measures.requests),
        MetricDefinition("errors", "5xx errors", "requests", measures.errors),
        MetricDefinition("client_errors", "4xx errors", "requests", measures.client_errors),
        MetricDefinition("error_rate", "5xx errors", "%", measures.error_rate, 2),
        MetricDefinition("client_error_rate", "4xx errors", "%", measures.client_error_rate, 2),
        MetricDefinition("response_avg", "Average", "ms", measures.response_average, 1),
        *(
            MetricDefinition(
                *(f"response_p{percent}", f"p{percent}", "ms"),
                partial(measures.response_quantile, share=percent / 100),
                1,
                f"Time within which {percent} % of the requests were answered, estimated from a "
                f"histogram with bounds at {_BOUNDS} ms.",
            )
            for percent in (50, 95, 99)
        ),
        MetricDefinition("payment_success", "Success", "%", measures.payment_success, 2),
        MetricDefinition(
            "payments_completed", "Completed", "payments", measures.payments_completed
        ),
        MetricDefinition("payments_failed", "Failed", "payments", measures.payments_failed),
        *(
            MetricDefinition(
                *(f"payments_{reason}", f"Failed: {reason}", "payments"),
                partial(measures.payments_failed_for, reason=reason),
                definition=definition,
            )
            for reason, definition in _REASONS.items()
        ),
        MetricDefinition(
            "payments_overdue",
            f"Unknown for over {UNKNOWN_AGE}",
            "payments",
            measures.payments_overdue,
            definition="Payments created in this time and without an outcome for more than "
            f"{UNKNOWN_AGE}.",
        ),
        MetricDefinition(
            "checkouts_refused",
            "Refused by the breaker",
            "checkouts",
            measures.checkouts_refused,
        ),
        MetricDefinition(
            "held_back", "Attempts stopped by the breaker", "payments", measures.short_circuited
        ),
        MetricDefinition(
            "fast_fail",
            f"Fast-fail time, {FAST_FAIL}",
            "ms",
            measures.fast_fail_time,
            1,
        ),
        MetricDefinition(
            "breaker_openings", "Breaker openings", "times", measures.breaker_openings
        ),
        MetricDefinition("throttled", "Throttled", "requests", measures.throttled),
        *(
            MetricDefinition(
                *(f"throttled_{scope}", f"Throttled: {scope.replace('_', ' ')}", "requests"),
                partial(measures.throttled_in, scope=scope),
                definition=f"Requests refused because they came too fast, by the limit on {scope}.",
            )
            for scope in sorted(THROTTLE_SCOPES)
        ),
        MetricDefinition(
            "stock_conflicts", "Stock conflicts", "checkouts", measures.stock_conflicts
        ),
    )
}
