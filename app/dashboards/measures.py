"""The metrics of the dashboard, each defined once.

A metric is computed from a Window. For one step of the range it is a point of a chart; for the
whole range it is the number on a card. Page, API and CSV file all use these definitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings

from orders.models import Payment
from retail.history.read import quantile
from retail.observability.prometheus.catalogue import THROTTLE_SCOPES
from retail.thresholds import THRESHOLDS, in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retail.history.read import Point

Value = int | float | Decimal | None
"""None where there is nothing to work it out from: never a zero that nobody measured."""

UNKNOWN_AGE = in_words(THRESHOLDS.unknown_payments.most_age_seconds)
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
class Window:
    """What is known of a stretch of time."""

    points: Mapping[str, Point] = field(default_factory=dict)  # by metric type
    overdue: int = 0  # payments made in it whose end nobody knows, and that count as failed

    def count(self, kind: str) -> int:
        """Return how many events of a type there were."""
        point = self.points.get(kind)
        return point.count if point else 0

    def fact(self, kind: str, name: str, key: str | None = None) -> Any:
        """Return one of a type's facts, or 0."""
        point = self.points.get(kind)
        found: Any = point.facts.get(name, 0) if point else 0
        return found if key is None else (found or {}).get(key, 0)


@dataclass(frozen=True)
class MetricDefinition:
    """A number: its unit, what it is, and how it is worked out."""

    key: str
    label: str
    unit: str
    definition: str
    of: Callable[[Window], Value]
    decimals: int = 0


def _count(kind: str) -> Callable[[Window], Value]:
    return lambda part: part.count(kind)


def _fact(kind: str, name: str, key: str | None = None) -> Callable[[Window], Value]:
    return lambda part: int(part.fact(kind, name, key))


def _share(
    share: Callable[[Window], int], whole: Callable[[Window], int]
) -> Callable[[Window], Value]:
    def percent(part: Window) -> Value:
        total = whole(part)
        return 100 * share(part) / total if total else None

    return percent


def _revenue(part: Window) -> Value:
    return Decimal(part.fact("orders_per_day", "revenue", settings.CURRENCY)).quantize(
        Decimal("0.01")
    )


def _requests(part: Window) -> int:
    return part.count("error_rate")


def _completed(part: Window) -> int:
    return int(part.fact("payment_success_rate", "completed"))


def settled(part: Window) -> int:
    """Return how many payments the success rate is taken over."""
    return _completed(part) + int(part.fact("payment_success_rate", "failed")) + part.overdue


def _slower_than(share: float) -> Callable[[Window], Value]:
    def milliseconds(part: Window) -> Value:
        buckets = part.fact("avg_response_time", "buckets")
        if not buckets:
            return None
        return quantile(buckets, share, part.fact("avg_response_time", "max_ms"))

    return milliseconds


def _average(part: Window) -> Value:
    point = part.points.get("avg_response_time")
    return point.total / point.count if point and point.count else None


_PERCENTILE = (
    "Time within which {} of the requests were answered, estimated from a histogram with bounds at "
    "5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000 and 10000 ms."
)
_REASONS = {
    Payment.Failure.DECLINED: "Payments whose card was declined.",
    Payment.Failure.CANCELLED: "Payments cancelled at the gateway, after it had not answered.",
    Payment.Failure.REJECTED: "Payments whose charge the gateway does not accept.",
}

MEASURES: dict[str, MetricDefinition] = {
    one.key: one
    for one in (
        MetricDefinition(
            *("orders", "Orders", "orders"),
            "Orders confirmed, by the time of their confirmation.",
            _count("orders_per_day"),
        ),
        MetricDefinition(
            *("revenue", "Revenue", settings.CURRENCY),
            "Total of the orders confirmed in the shop's currency, as text with two decimals.",
            _revenue,
            2,
        ),
        MetricDefinition(
            *("refunds", "Refunds", "refunds"),
            "Refunds paid out. The shop takes no returns yet, so there are none.",
            _count("refunds_per_day"),
        ),
        MetricDefinition(
            *("requests", "Requests", "requests"),
            "Requests answered, without static files, probes, and what this dashboard asks itself.",
            _requests,
        ),
        MetricDefinition(
            *("errors", "Errors (5xx)", "requests"),
            "Requests answered with 5xx: the shop's fault.",
            _fact("error_rate", "errors"),
        ),
        MetricDefinition(
            *("client_errors", "Refused (4xx)", "requests"),
            "Requests answered with 4xx: the visitor's.",
            _fact("error_rate", "client_errors"),
        ),
        MetricDefinition(
            *("error_rate", "Errors (5xx)", "%"),
            "Share of requests answered with 5xx.",
            _share(lambda part: int(part.fact("error_rate", "errors")), _requests),
            2,
        ),
        MetricDefinition(
            *("client_error_rate", "Refused (4xx)", "%"),
            "Share of requests answered with 4xx; shown beside the error rate, never part of it.",
            _share(lambda part: int(part.fact("error_rate", "client_errors")), _requests),
            2,
        ),
        MetricDefinition(
            *("response_avg", "Average", "ms"),
            "Average time to answer a request.",
            _average,
            1,
        ),
        *(
            MetricDefinition(
                *(f"response_p{share}", f"p{share}", "ms"),
                _PERCENTILE.format(f"{share} %"),
                _slower_than(share / 100),
                1,
            )
            for share in (50, 95, 99)
        ),
        MetricDefinition(
            *("payment_success", "Success", "%"),
            "Payments COMPLETED of those COMPLETED or FAILED, declines included. UNKNOWN for more "
            f"than {UNKNOWN_AGE} counts as failed, in the step in which the payment was made.",
            _share(_completed, settled),
            2,
        ),
        MetricDefinition(
            *("payments_completed", "Completed", "payments"),
            "Payments settled as COMPLETED, by the time they were settled.",
            _completed,
        ),
        MetricDefinition(
            *("payments_failed", "Failed", "payments"),
            "Payments settled as FAILED, by the time they were settled.",
            _fact("payment_success_rate", "failed"),
        ),
        *(
            MetricDefinition(
                *(f"payments_{reason}", f"Failed: {reason}", "payments"),
                what,
                _fact("payment_success_rate", "reasons", reason),
            )
            for reason, what in _REASONS.items()
        ),
        MetricDefinition(
            *("payments_overdue", f"Unknown for over {UNKNOWN_AGE}", "payments"),
            f"Payments made then that are UNKNOWN still, for more than {UNKNOWN_AGE}.",
            lambda part: part.overdue,
        ),
        MetricDefinition(
            *("held_back", "Held back by the breaker", "payments"),
            "Payment attempts that found the circuit breaker open.",
            _fact("circuit_breaker_state", "attempts", "open"),
        ),
        MetricDefinition(
            *("breaker_openings", "Breaker openings", "times"),
            "Times the circuit breaker opened.",
            _fact("circuit_breaker_state", "transitions", "open"),
        ),
        MetricDefinition(
            *("throttled", "Throttled", "requests"),
            "Requests refused because they came too fast.",
            _count("throttled_requests"),
        ),
        *(
            MetricDefinition(
                *(f"throttled_{scope}", f"Throttled: {scope.replace('_', ' ')}", "requests"),
                f"Requests refused because they came too fast, of the limit on {scope}.",
                _fact("throttled_requests", "by_scope", scope),
            )
            for scope in THROTTLE_SCOPES
        ),
        MetricDefinition(
            *("stock_conflicts", "Stock conflicts", "checkouts"),
            "Checkouts that the database's own constraint had to refuse: each is a bug.",
            _count("stock_conflicts"),
        ),
    )
}
