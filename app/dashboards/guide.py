"""The metrics under the names of the guide and of the Metric table, as the API returns them.

Each is one of the dashboard's numbers; the names are an interface.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dashboards.measures import MEASURES, Value
from payments.selectors import breaker_state

if TYPE_CHECKING:
    from dashboards.numbers import Numbers


class GuideMetric(NamedTuple):
    """A metric of the guide, and the number of the dashboard that it is; "" if it is none."""

    name: str
    unit: str
    definition: str
    key: str
    daily: bool = False

    def value(self, numbers: Numbers, days: int) -> Value | str:
        """Return its value over so many days."""
        if not self.key:
            return breaker_state().upper()
        value = numbers.value(self.key)
        return value / days if self.daily and value is not None else value


def _same(name: str, key: str) -> GuideMetric:
    return GuideMetric(name, MEASURES[key].unit, MEASURES[key].described, key)


GUIDE = (
    GuideMetric(
        "orders_per_day",
        "orders/day",
        "Orders confirmed per day, also those cancelled later, on average over the requested days.",
        "orders",
        daily=True,
    ),
    _same("error_rate", "error_rate"),
    GuideMetric(
        "refunds_per_day",
        "refunds/day",
        "Refunds paid out per day, on average over the requested days.",
        "refunds",
        daily=True,
    ),
    _same("payment_success_rate", "payment_success"),
    _same("avg_response_time", "response_avg"),
    GuideMetric(
        "circuit_breaker_state",
        "state",
        "State of the payments' circuit breaker now: CLOSED, OPEN or HALF_OPEN.",
        "",
    ),
    _same("stock_conflicts", "stock_conflicts"),
    _same("throttled_requests", "throttled"),
)
