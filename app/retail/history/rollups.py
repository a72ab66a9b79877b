"""The only writer of the Metric table and its rollups.

The worker aggregates rows by minute, minutes into hours, and hours into days. For a metric type
whose data is also in an app's own tables, the app registers a Source. It replaces the rows of that
type, which a killed process may lose.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import (
    DataError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
    transaction,
)
from django.db.models import Max, Min

from retail.db.batches import readable
from retail.history.points import Accumulators, Point, floor, point_of
from retail.models import Metric, MetricRollup, RollupMark
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from retail.observability.rows.recorder import Row

Period = MetricRollup.Period
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LENGTH = {Period.MINUTE: MINUTE, Period.HOUR: HOUR, Period.DAY: DAY}
FINER = {Period.HOUR: Period.MINUTE, Period.DAY: Period.HOUR}

SETTLING = timedelta(seconds=10)  # rows are written within seconds of their time
LATE = timedelta(minutes=15)  # each run reads the rows of this time again
KEEP_MINUTES = 2 * DAY  # enough to show an hour by minute and compare it with yesterday
POINT = ("start", "count", "total", "minimum", "maximum", "aggregates")
PRUNE_BATCH = 5000
LONGEST_PAUSE = 0.2  # seconds

logger = logging.getLogger("retail.history")


@dataclass(frozen=True)
class Source:
    """Reads a metric type from an app's own tables instead of its rows."""

    points: Callable[[datetime, datetime, timedelta], list[Point]]  # since, until, step
    earliest: Callable[[], datetime | None]
    final: bool = True  # False: its past may change, so it is read from the table, never rolled up


# Not bulk_create: a busy shop writes hundreds of rows per second, and creating model instances
# takes longer than everything else.
_INSERT = f"INSERT INTO {Metric._meta.db_table} (metric_type, value, metadata, timestamp) VALUES"  # noqa: SLF001 - a documented API

sources: dict[str, Source] = {}  # by metric type


def write_rows(rows: Sequence[Row]) -> None:
    """Write rows in one statement. A row that the database rejects is dropped and counted."""
    if not connection.in_atomic_block:
        close_old_connections()  # the recorder's thread has no request whose end closes them
    stored = connection.ops.adapt_datetimefield_value
    values: list[Any] = []
    for row in rows:
        values += (row.metric_type, row.value, row.metadata, stored(row.timestamp))
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"{_INSERT} {', '.join(['(%s, %s, %s, %s)'] * len(rows))}", values)
    except (DataError, ValueError, TypeError, OverflowError):  # from the database, or its driver
        if len(rows) == 1:
            catalogue.METRIC_ROWS_DROPPED.inc()
            return
        for row in rows:
            write_rows([row])


def rolled_until() -> datetime | None:
    """Return the time up to which rows are rolled up; None before the first rollup."""
    return RollupMark.objects.values_list("until", flat=True).first()


def aggregate_rows(
    since: datetime, until: datetime, step: timedelta, kinds: Collection[str] | None = None
) -> dict[tuple[str, datetime], Point]:
    """Aggregate rows and final sources from `since` to before `until`, by metric type and step.

    `kinds` limits the types. Runs one query for the rows and one for each source.
    """
    sums: Accumulators[tuple[str, datetime]] = Accumulators()
    rows = Metric.objects.filter(timestamp__gte=since, timestamp__lt=until)
    if kinds is None:
        rows = rows.exclude(metric_type__in=sources)
    else:
        rows = rows.filter(metric_type__in=set(kinds) - set(sources))
    values = rows.values_list("metric_type", "value", "metadata", "timestamp")
    # A server-side cursor keeps days of rows out of memory, but takes three round trips.
    if not _add_all(sums, values if until - since <= HOUR else values.iterator(), step):
        sums.clear()
        begin = since
        while begin < until:
            end = min(begin + HOUR, until)
            _add(sums, readable(values.filter(timestamp__gte=begin, timestamp__lt=end)), step)
            begin = end
    for kind, source in sources.items():
        if source.final and (kinds is None or kind in kinds):
            for point in source.points(since, until, step):
                sums.add((kind, point.start), point)
    return sums.points()


def _add_all(
    sums: Accumulators[tuple[str, datetime]], rows: Iterable[tuple[Any, ...]], step: timedelta
) -> bool:
    """Add rows as they are read; return False if one of them cannot be read."""
    try:
        _add(sums, rows, step)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # noqa: BLE001 - the conversion of a value may raise anything
        return False
    return True


def _add(
    sums: Accumulators[tuple[str, datetime]], rows: Iterable[tuple[Any, ...]], step: timedelta
) -> None:
    """Add rows. One that makes no sense is left out, logged and counted as a telemetry error."""
    for kind, value, metadata, at in rows:
        start = floor(at, step)
        try:
            sums.add((kind, start), point_of(kind, value, metadata, start))
        except Exception:
            catalogue.TELEMETRY_ERRORS.inc(sink="rows")
            extra = {"metric_type": kind, "at": at.isoformat()}
            logger.exception("event=metric_row.unusable", extra=extra)


def roll_up(now: datetime, *, seconds: float = float("inf")) -> int:
    """Bring the rollups up to `now` and return how many were written. Idempotent.

    Starts LATE before the end of the last run, because rows may be late; hours with even later rows
    are rolled up again. Stops after `seconds`; the next run continues. A period without rows keeps
    its rollup, so pruning rows does not change it.
    """
    ends_at = time.monotonic() + seconds
    until = floor(now - SETTLING, MINUTE)
    newest = Metric.objects.aggregate(newest=Max("pk"))["newest"] or 0
    mark = RollupMark.objects.first()
    since = _first_hour(until) if mark is None else min(mark.until, until) - LATE
    late = _late_hours(mark, since)
    fine = floor(until - KEEP_MINUTES, HOUR)  # no minutes before this
    written = 0
    while since < until and time.monotonic() < ends_at:
        since, count = _roll_up_from(since, until, fine)
        written += count
        if mark is None or not since < mark.until <= until:
            RollupMark.objects.update_or_create(pk=1, defaults={"until": since})
    while late and time.monotonic() < ends_at:
        hour = late.pop()
        written += _roll_up_from(hour, min(hour + HOUR, until), fine)[1]
    if not late:  # else the next run finds them again
        checked = newest if mark is None or mark.newest_row is None else mark.newest_row
        RollupMark.objects.update(newest_row=newest, checked_row=checked)
    MetricRollup.objects.filter(period=Period.MINUTE, start__lt=fine).delete()
    return written


def _late_hours(mark: RollupMark | None, since: datetime) -> list[datetime]:
    """Return the hours before `since` with rows that the last run did not see.

    A row becomes visible when its transaction ends, so a lower id may appear after a higher one.
    Therefore the rows that were new to the last run are checked again.
    """
    if mark is None or mark.checked_row is None:
        return []
    new = Metric.objects.filter(pk__gt=mark.checked_row).exclude(metric_type__in=sources)
    return list(new.filter(timestamp__lt=since).datetimes("timestamp", "hour", tzinfo=UTC))


def _roll_up_from(since: datetime, until: datetime, fine: datetime) -> tuple[datetime, int]:
    """Roll up the hour of `since`, or its day before `fine`, but not beyond `until`.

    Returns the end, and how many rollups were written.
    """
    if since < fine:
        since = floor(since, HOUR)
        end = min(floor(since, DAY) + DAY, fine, until)
        written = _write(Period.HOUR, _aggregate(Period.HOUR, since, end))
    else:
        end = min(floor(since, HOUR) + HOUR, until)
        written = _write(Period.MINUTE, _aggregate(Period.MINUTE, since, end))
        written += _combine(Period.HOUR, since)
    return end, written + _combine(Period.DAY, since)


def _aggregate(
    period: MetricRollup.Period, since: datetime, until: datetime
) -> dict[tuple[str, datetime], Point]:
    """Aggregate rows by type and period, without periods of which rows have been pruned."""
    known = MetricRollup.objects.filter(period=period, start__gte=since, start__lt=until)
    counts = {
        (kind, start): count
        for kind, start, count in known.values_list("metric_type", "start", "count")
        if kind not in sources
    }
    sums = aggregate_rows(since, until, LENGTH[period])
    return {place: point for place, point in sums.items() if point.count >= counts.get(place, 0)}


def _first_hour(until: datetime) -> datetime:
    """Return the hour of the earliest row or source entry."""
    first = Metric.objects.aggregate(first=Min("timestamp"))["first"]
    earliest = [first, *(source.earliest() for source in sources.values() if source.final)]
    return floor(min([*(moment for moment in earliest if moment), until]), HOUR)


def _combine(period: MetricRollup.Period, moment: datetime) -> int:
    """Combine finer rollups into those of the hour or day that contains `moment`."""
    start = floor(moment, LENGTH[period])
    parts = MetricRollup.objects.filter(
        period=FINER[period], start__gte=start, start__lt=start + LENGTH[period]
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
    """Delete rows older than `days` in small batches; return how many were deleted.

    Each batch is a separate transaction, with a pause after it for other writers. Rows are rolled
    up first; rollups are kept.
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
        # SQLite allows one writer at a time, and a waiting sale only polls for its turn.
        time.sleep(min(time.monotonic() - started, LONGEST_PAUSE))
