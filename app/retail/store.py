"""The only writer of the Metric table and its rollups."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DataError, close_old_connections, connection, transaction

from retail.models import Metric, MetricRollup
from retail.observability import catalogue
from retail.observability.recording import Row

Period = MetricRollup.Period
SPAN = {Period.HOUR: timedelta(hours=1), Period.DAY: timedelta(days=1)}
PRUNE_BATCH = 5000


def write_rows(rows: Sequence[Row]) -> None:
    """Write rows in one statement; one that the database cannot hold is dropped and counted."""
    if not connection.in_atomic_block:
        close_old_connections()  # the writing thread has no request that would end and do it
    try:
        with transaction.atomic():
            Metric.objects.bulk_create([Metric(**row._asdict()) for row in rows])
    except DataError:
        if len(rows) == 1:
            catalogue.METRIC_ROWS_DROPPED.inc()
            return
        for row in rows:
            write_rows([row])


@dataclass
class _Sum:
    count: int = 0
    total: float = 0
    minimum: float = float("inf")
    maximum: float = float("-inf")

    def add(self, value: float, weight: int) -> None:
        self.count += weight
        self.total += value * weight
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)


def period_start(period: MetricRollup.Period, moment: datetime) -> datetime:
    """Return when the hour or day (UTC) around `moment` began."""
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return moment.replace(hour=0) if period == Period.DAY else moment


def _weight(metadata: dict[str, Any]) -> int:
    """Return how many events a row stands for: its `count`, where that is a number of events."""
    count = metadata.get("count")
    return count if type(count) is int and count > 0 else 1


def roll_up(period: MetricRollup.Period, moment: datetime) -> int:
    """Make the rollups of the period around `moment` from its rows; return how many there are.

    A day is made from its hours' rollups, so that pruned rows don't matter. Repeating is harmless.
    """
    start = period_start(period, moment)
    end = start + SPAN[period]
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    if period == Period.HOUR:
        rows = Metric.objects.filter(timestamp__gte=start, timestamp__lt=end)
        for kind, value, metadata in rows.values_list(
            "metric_type", "value", "metadata"
        ).iterator():
            sums[kind].add(value, _weight(metadata))
    else:
        hours = MetricRollup.objects.filter(period=Period.HOUR, start__gte=start, start__lt=end)
        for hour in hours.iterator():
            one = sums[hour.metric_type]
            one.count += hour.count
            one.total += hour.total
            one.minimum = min(one.minimum, hour.minimum)
            one.maximum = max(one.maximum, hour.maximum)
    MetricRollup.objects.bulk_create(
        [
            MetricRollup(metric_type=kind, period=period, start=start, **vars(one))
            for kind, one in sums.items()
        ],
        update_conflicts=True,
        unique_fields=["metric_type", "period", "start"],
        update_fields=["count", "total", "minimum", "maximum"],
    )
    return len(sums)


def prune(days: int, now: datetime) -> int:
    """Delete rows older than `days`, in batches too small to be in anyone's way; return how many.

    Rollups stay: they are few, and they are the history.
    """
    before = now - timedelta(days=days)
    deleted = 0
    while True:
        ids = list(
            Metric.objects.filter(timestamp__lt=before).values_list("pk", flat=True)[:PRUNE_BATCH]
        )
        if not ids:
            return deleted
        deleted += Metric.objects.filter(pk__in=ids).delete()[0]
