"""Metric rows and their rollups, for the tests of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from retail.history import rollups
from retail.models import Metric, MetricRollup

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
KIND = "stock_conflicts"
LAST_MOMENT = timedelta(microseconds=1)


def row(moment: datetime, value: float = 1, kind: str = KIND, **metadata: Any) -> None:
    Metric.objects.create(metric_type=kind, value=value, metadata=metadata, timestamp=moment)


def stored(period: MetricRollup.Period) -> list[tuple[Any, ...]]:
    return list(
        MetricRollup.objects.filter(period=period)
        .order_by("start", "metric_type")
        .values_list("start", "metric_type", "count", "total", "minimum", "maximum")
    )


def at_the_end_of(moment: datetime) -> datetime:
    """Return the earliest time at which all rows before `moment` are rolled up."""
    return moment + rollups.SETTLING


def roll_up(until: datetime) -> None:
    rollups.roll_up(at_the_end_of(until))
