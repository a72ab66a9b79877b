"""The only writer of the Metric table and its rollups.

The worker adds up rows by minute, minutes to hours and hours to days. Of some metric types the
truth is in an app's own tables: the app registers a Source, and their rows, which a killed process
may lose, are not added up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import DataError, close_old_connections, connection, transaction
from django.db.models import Min

from retail.history.points import Accumulators, Point, floor, point_of
from retail.models import Metric, MetricRollup, RollupMark
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from retail.observability.rows.recorder import Row

Period = MetricRollup.Period
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPAN = {Period.MINUTE: MINUTE, Period.HOUR: HOUR, Period.DAY: DAY}
FINER = {Period.HOUR: Period.MINUTE, Period.DAY: Period.HOUR}

SETTLING = timedelta(seconds=10)  # a row is written within seconds of its time
LATE = timedelta(minutes=15)  # and one that waited for the database within these
KEEP_MINUTES = 2 * DAY  # enough to show an hour by minutes and compare it with yesterday's
POINT = ("start", "count", "total", "minimum", "maximum", "aggregates")
PRUNE_BATCH = 5000
LONGEST_PAUSE = 0.2  # seconds


@dataclass(frozen=True)
class Source:
    """Where a metric type's truth is, if not in its rows."""

    points: Callable[[datetime, datetime, timedelta], list[Point]]  # since, until, step
    earliest: Callable[[], datetime | None]


# Not bulk_create: a busy shop writes hundreds of rows a second, and to make objects of them first
# takes longer than all the rest.
_INSERT = f"INSERT INTO {Metric._meta.db_table} (metric_type, value, metadata, timestamp) VALUES"  # noqa: SLF001 - public in all but its name

sources: dict[str, Source] = {}  # by metric type


def write_rows(rows: Sequence[Row]) -> None:
    """Write rows in one statement; one that the database cannot hold is dropped and counted."""
    if not connection.in_atomic_block:
        close_old_connections()  # the writing thread has no request that would end and do it
    stored = connection.ops.adapt_datetimefield_value
    values: list[Any] = []
    for row in rows:
        values += (row.metric_type, row.value, row.metadata, stored(row.timestamp))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{_INSERT} {', '.join(['(%s, %s, %s, %s)'] * len(rows))}", values)
    except DataError:
        if len(rows) == 1:
            catalogue.METRIC_ROWS_DROPPED.inc()
            return
        for row in rows:
            write_rows([row])


def rolled_until() -> datetime | None:
    """Return up to when everything is in the rollups, None before the worker's first look."""
    return RollupMark.objects.values_list("until", flat=True).first()


def added_up(
    since: datetime, until: datetime, step: timedelta, kinds: Collection[str] | None = None
) -> dict[tuple[str, datetime], Point]:
    """Add up rows and sources from `since` to before `until`, by metric type and step.

    `kinds` are the types wanted, all if None. One query for the rows, and one for each source.
    """
    sums: Accumulators[tuple[str, datetime]] = Accumulators()
    rows = Metric.objects.filter(timestamp__gte=since, timestamp__lt=until)
    if kinds is None:
        rows = rows.exclude(metric_type__in=sources)
    else:
        rows = rows.filter(metric_type__in=set(kinds) - set(sources))
    told = rows.values_list("metric_type", "value", "metadata", "timestamp")
    # A cursor at the server keeps days of rows out of memory, and takes three questions for one.
    for kind, value, metadata, at in told if until - since <= HOUR else told.iterator():
        start = floor(at, step)
        sums.add((kind, start), point_of(kind, value, metadata, start))
    for kind, source in sources.items():
        if kinds is None or kind in kinds:
            for point in source.points(since, until, step):
                sums.add((kind, point.start), point)
    return sums.points()


def roll_up(now: datetime, *, seconds: float = float("inf")) -> int:
    """Bring the rollups up to `now`; return how many were made. Repeating is harmless.

    Begins where the last run ended, however long ago that was, and a little earlier, as rows may
    come late. Ends after `seconds`, for the next run to go on. A period without rows keeps what
    was rolled up, so that pruned rows don't matter.
    """
    ends_at = time.monotonic() + seconds
    until = floor(now - SETTLING, MINUTE)
    mark = rolled_until()
    since = _beginning(until) if mark is None else min(mark, until) - LATE
    fine = floor(until - KEEP_MINUTES, HOUR)  # before it, no minutes
    made = 0
    while since < until and time.monotonic() < ends_at:
        if since < fine:
            since = floor(since, HOUR)
            end = min(floor(since, DAY) + DAY, fine)
            made += _write(Period.HOUR, added_up(since, end, HOUR))
        else:
            end = min(floor(since, HOUR) + HOUR, until)
            made += _write(Period.MINUTE, added_up(since, end, MINUTE))
            made += _make(Period.HOUR, since)
        made += _make(Period.DAY, since)
        if mark is None or not end < mark <= until:
            RollupMark.objects.update_or_create(defaults={"until": end})
        since = end
    MetricRollup.objects.filter(period=Period.MINUTE, start__lt=fine).delete()
    return made


def _beginning(until: datetime) -> datetime:
    """Return the hour of the first row or of the first of a source."""
    first = Metric.objects.aggregate(first=Min("timestamp"))["first"]
    moments = [one for one in (first, *(each.earliest() for each in sources.values())) if one]
    return floor(min([*moments, until]), HOUR)


def _make(period: MetricRollup.Period, moment: datetime) -> int:
    """Make the rollups of the hour or day around `moment` from the finer ones."""
    start = floor(moment, SPAN[period])
    parts = MetricRollup.objects.filter(
        period=FINER[period], start__gte=start, start__lt=start + SPAN[period]
    )
    sums: Accumulators[tuple[str, datetime]] = Accumulators()
    for kind, _, *numbers in parts.values_list("metric_type", *POINT):
        sums.add((kind, start), Point(start, *numbers))
    return _write(period, sums.points())


def _write(period: MetricRollup.Period, sums: dict[tuple[str, datetime], Point]) -> int:
    MetricRollup.objects.bulk_create(
        [
            MetricRollup(
                metric_type=kind, period=period, **{name: getattr(point, name) for name in POINT}
            )
            for (kind, _), point in sums.items()
        ],
        batch_size=500,
        update_conflicts=True,
        unique_fields=["period", "start", "metric_type"],
        update_fields=["count", "total", "minimum", "maximum", "aggregates"],
    )
    return len(sums)


def prune(days: int, now: datetime) -> int:
    """Delete rows older than `days`, in batches too small to be in anyone's way; return how many.

    Each batch is a transaction of its own, and between two of them others have their turn. What was
    not rolled up yet is first: the rollups stay, they are few, and they are the history.
    """
    roll_up(now)
    old = Metric.objects.filter(timestamp__lt=now - timedelta(days=days)).order_by("timestamp")
    deleted = 0
    while True:
        started = time.monotonic()
        ids = list(old.values_list("pk", flat=True)[:PRUNE_BATCH])
        if not ids:
            return deleted
        deleted += Metric.objects.filter(pk__in=ids).delete()[0]
        # SQLite has one writer at a time; a sale that waits looks again every now and then.
        time.sleep(min(time.monotonic() - started, LONGEST_PAUSE))
