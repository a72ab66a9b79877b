"""Types of metric rows: what a value means, and which values make sense.

A row with a `count` in its metadata represents that many events; each has the row's value. A number
that is shown or evaluated is computed from both (retail/measures.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Any, TypeGuard

from retail.observability.rows.intervals import BREAKER_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST = 10**15  # a larger count is a mistake, and would not fit into the database


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value is a number of events."""
    return type(value) is int and 0 < value <= MOST


def events(metadata: Mapping[str, Any]) -> int:
    """Return the number of events in a row: its `count` if valid, else 1."""
    count = metadata.get("count")
    return count if is_count(count) else 1


def _is_number(value: float, _: Mapping[str, Any]) -> bool:
    return 0 <= value <= MOST and value.is_integer()


def _is_share(value: float, _: Mapping[str, Any]) -> bool:
    return 0 <= value <= 100  # noqa: PLR2004 - percent


def _is_error_rate(value: float, metadata: Mapping[str, Any]) -> bool:
    errors = value * events(metadata) / 100
    return _is_share(value, metadata) and isclose(
        metadata.get("errors", errors), errors, abs_tol=1e-6
    )


def _is_time(value: float, metadata: Mapping[str, Any]) -> bool:
    count = events(metadata)
    return 0 <= value <= MOST and sum(metadata.get("buckets", [count])) == count


def _is_state(value: float, metadata: Mapping[str, Any]) -> bool:
    state = metadata.get("state")
    named = value if state is None else BREAKER_VALUE.get(str(state).lower())
    return value in BREAKER_VALUE.values() and named == value


@dataclass(frozen=True)
class MetricType:
    """The meaning of a row's value, and whether a value makes sense with the row's metadata."""

    meaning: str
    is_valid: Callable[[float, Mapping[str, Any]], bool]


METRIC_TYPES = {
    "orders_per_day": MetricType("orders: a whole number", _is_number),
    "error_rate": MetricType("share of 5xx in percent", _is_error_rate),
    "refunds_per_day": MetricType("refunds: a whole number", _is_number),
    "payment_success_rate": MetricType("share of completed payments in percent", _is_share),
    "avg_response_time": MetricType("average in milliseconds", _is_time),
    "circuit_breaker_state": MetricType("state: 0 closed, 1 half-open, 2 open", _is_state),
    "stock_conflicts": MetricType("conflicts: a whole number", _is_number),
    "throttled_requests": MetricType("requests: a whole number", _is_number),
}


def check(metric_type: str, value: float, metadata: Mapping[str, Any]) -> None:
    """Raise ValueError for an unknown type, or a value or `count` that makes no sense."""
    known = METRIC_TYPES.get(metric_type)
    if known is None:
        raise ValueError(f"unknown type {metric_type!r}; types: {', '.join(METRIC_TYPES)}")
    if "count" in metadata and not is_count(metadata["count"]):
        raise ValueError(f"{metric_type}: invalid count {metadata['count']!r}")
    if not known.is_valid(value, metadata):
        raise ValueError(f"{metric_type}={value!r} is not valid with {metadata!r}: {known.meaning}")
