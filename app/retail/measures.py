"""Every number that the shop shows, defined once.

Dashboard, API, scenarios, database gauges and audit call these functions, so they cannot disagree.
A docstring is the number's definition, as the API publishes it. Numbers over time are computed from
a Window; what needs an app's tables is registered by that app (`register_open_payments`), or
defined beside them (returns/measures.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from retail.history.points import Point, merged, quantile
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

LATELY = timedelta(seconds=5)


@dataclass(frozen=True)
class Window:
    """Everything that is known of a span of time."""

    points: Mapping[str, Point] = field(default_factory=dict)  # by metric type
    overdue: int = 0  # payments created in it that are overdue

    @classmethod
    def of(cls, points: Mapping[str, Iterable[Point]], overdue: int = 0) -> Window:
        """Return the window of all these points, by metric type."""
        whole = {kind: merged(steps) for kind, steps in points.items()}
        return cls({kind: point for kind, point in whole.items() if point}, overdue)

    def count(self, kind: str) -> int:
        """Return the number of events of a metric type."""
        point = self.points.get(kind)
        return point.count if point else 0

    def number(self, kind: str) -> int:
        """Return the sum of a metric type's values, for types whose value is a number of things."""
        point = self.points.get(kind)
        return round(point.total) if point else 0

    def aggregate(self, kind: str, name: str, key: str | None = None) -> Any:
        """Return one of a type's aggregates, or 0."""
        point = self.points.get(kind)
        value: Any = point.aggregates.get(name, 0) if point else 0
        return value if key is None else (value or {}).get(key, 0)


def _percent(part: float, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def orders(window: Window) -> int:
    """Orders confirmed, also those cancelled later, by the time of their confirmation."""
    return window.number("orders_per_day")


def flash_orders(window: Window) -> int:
    """Confirmed orders with at least one product on flash sale, also those cancelled later."""
    return int(window.aggregate("orders_per_day", "kinds", "flash"))


def revenue(window: Window) -> Decimal:
    """Total of the orders confirmed in the shop's currency before refunds: text, two decimals."""
    total = Decimal(window.aggregate("orders_per_day", "revenue", settings.CURRENCY))
    return total.quantize(Decimal("0.01"))


def refunds(window: Window) -> int:
    """Refunds paid out, by the time of the payout. One that fails later is not counted any more."""
    return window.number("refunds_per_day")


def refund_amount(window: Window) -> Decimal:
    """Total of the refunds paid out in the shop's currency, as text with two decimals."""
    total = Decimal(window.aggregate("refunds_per_day", "amount", settings.CURRENCY))
    return total.quantize(Decimal("0.01"))


def requests(window: Window) -> int:
    """Requests answered, without static files, probes and what monitoring pages request."""
    return window.count("error_rate")


def errors(window: Window) -> int:
    """Requests answered with 5xx: an error of the shop."""
    return int(window.aggregate("error_rate", "errors"))


def client_errors(window: Window) -> int:
    """Requests answered with 4xx: an error in the request."""
    return int(window.aggregate("error_rate", "client_errors"))


def error_rate(window: Window) -> float | None:
    """Share of requests answered with 5xx."""
    return _percent(window.aggregate("error_rate", "errors"), requests(window))


def client_error_rate(window: Window) -> float | None:
    """Share of requests answered with 4xx. Not part of the error rate."""
    return _percent(client_errors(window), requests(window))


def response_average(window: Window) -> float | None:
    """Average time to answer a request."""
    point = window.points.get("avg_response_time")
    return point.average if point and point.count else None


def response_quantile(window: Window, share: float) -> float | None:
    """Time within which a share (0 to 1) of the requests were answered, from a histogram."""
    buckets = window.aggregate("avg_response_time", "buckets")
    most = window.aggregate("avg_response_time", "max_ms")
    return quantile(buckets, share, most) if buckets else None


def payments_completed(window: Window) -> int:
    """Payments settled as COMPLETED, by the time they were settled."""
    return int(window.aggregate("payment_success_rate", "completed"))


def payments_failed(window: Window) -> int:
    """Payments settled as FAILED, by the time they were settled."""
    return int(window.aggregate("payment_success_rate", "failed"))


def payments_failed_for(window: Window, reason: str) -> int:
    """Payments settled as FAILED for one reason."""
    return int(window.aggregate("payment_success_rate", "reasons", reason))


def payments_overdue(window: Window) -> int:
    """Payments created in this time that are overdue: without an outcome for too long."""
    return window.overdue


def payments_counted(window: Window) -> int:
    """Payments that the success rate is taken over: COMPLETED, FAILED and overdue."""
    return payments_completed(window) + payments_failed(window) + payments_overdue(window)


def payment_success(window: Window) -> float | None:
    """Payments COMPLETED of those COMPLETED, FAILED (declines included) or overdue."""
    return _percent(payments_completed(window), payments_counted(window))


def short_circuited(window: Window) -> int:
    """Payment attempts stopped by the open circuit breaker: checkouts and the worker's retries."""
    return int(window.aggregate("circuit_breaker_state", "attempts", "open"))


def breaker_openings(window: Window) -> int:
    """Times the circuit breaker opened. An outage is one, however many probes fail in it."""
    return int(window.aggregate("circuit_breaker_state", "transitions", "open"))


def checkouts_refused(window: Window) -> int:
    """Checkouts refused because the circuit breaker was open, without the worker's retries."""
    return int(window.aggregate("circuit_breaker_state", "fast_fails"))


def fast_fail_time(window: Window) -> float | None:
    """Time within which nearly all checkouts failed while the breaker was open (`fast_fail`)."""
    if not checkouts_refused(window):
        return None
    buckets = window.aggregate("circuit_breaker_state", "fast_fail_buckets")
    most = window.aggregate("circuit_breaker_state", "fast_fail_max_ms")
    return quantile(buckets, THRESHOLDS.fast_fail.least_ratio, most)


def throttled(window: Window) -> int:
    """Requests refused because they came too fast."""
    return window.number("throttled_requests")


def throttled_in(window: Window, scope: str) -> int:
    """Requests refused because they came too fast, by the limit they exceeded."""
    return int(window.aggregate("throttled_requests", "by_scope", scope))


def stock_conflicts(window: Window) -> int:
    """Checkouts that a database constraint had to refuse: each is a bug."""
    return window.number("stock_conflicts")


@dataclass(frozen=True)
class OpenPayments:
    """Payments created in one minute (UTC) that are not settled."""

    start: datetime
    count: int
    unknown: int  # UNKNOWN, or PENDING for longer than the worker waits before it asks again
    overdue: int  # unknown for so long that they count as failed
    oldest_unknown: datetime | None


_paid_lately: list[Callable[[datetime], bool]] = []


def register_paid_lately(read: Callable[[datetime], bool]) -> None:
    """Register the function that returns whether a payment was settled since a moment."""
    _paid_lately[:] = [read]


def customers_pay() -> bool:
    """Whether a payment was settled within the last LATELY: customers are buying."""
    since = timezone.now() - LATELY
    return any(read(since) for read in _paid_lately)


_open_payments: list[Callable[[datetime], Sequence[OpenPayments]]] = []


def register_open_payments(read: Callable[[datetime], Sequence[OpenPayments]]) -> None:
    """Register the function that returns the open payments at a moment."""
    _open_payments[:] = [read]


def open_payments(now: datetime) -> Sequence[OpenPayments]:
    """Return the payments that are not settled, by the minute in which they were created."""
    return [row for read in _open_payments for row in read(now)]


def payments_pending(rows: Iterable[OpenPayments]) -> int:
    """Payments that are PENDING and within their time."""
    return sum(row.count - row.unknown for row in rows)


def payments_unknown(rows: Iterable[OpenPayments]) -> int:
    """Payments without an outcome: UNKNOWN, or PENDING beyond their time."""
    return sum(row.unknown for row in rows)


def payments_unknown_oldest_seconds(rows: Iterable[OpenPayments], now: datetime) -> float:
    """Age of the oldest payment without an outcome; 0 without one."""
    oldest = min((row.oldest_unknown for row in rows if row.oldest_unknown), default=now)
    return (now - oldest).total_seconds()


def overdue_between(rows: Iterable[OpenPayments], since: datetime, until: datetime) -> int:
    """Return the overdue payments created from `since` to before `until`."""
    return sum(row.overdue for row in rows if since <= row.start < until)
