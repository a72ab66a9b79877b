"""Rows for the in-app pages: taken in memory, written in the background.

Recording costs the request a list append. A row does not share the fate of the transaction it was
recorded in; it is written within a second by a thread of the same process, which begins with the
first row. At most `LIMIT` rows wait; what has no room is counted in
`retail_metric_rows_dropped_total`. A process that is killed loses at most the last second's rows.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections import deque
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import telemetry
from retail.observability.rows.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METRIC_TYPES = (
    "orders_per_day",
    "error_rate",
    "refunds_per_day",
    "payment_success_rate",
    "avg_response_time",
    "circuit_breaker_state",
    "stock_conflicts",
    "throttled_requests",
)
LIMIT = 10_000
BATCH = 500

logger = logging.getLogger("retail.observability")


class Row(NamedTuple):
    """One row of the Metric table to be."""

    metric_type: str
    value: float
    metadata: str  # JSON
    timestamp: datetime


def _json(facts: dict[str, Any]) -> str:
    """Return the facts as they are stored: what changes afterwards does not change them."""
    return orjson.dumps(facts, default=str).decode()


class Recorder:
    """Keeps rows until its thread has written them."""

    def __init__(self) -> None:
        self.writer: Callable[[list[Row]], None] | None = None  # set when the database is ready
        self.flush_seconds = 1.0
        self.use_thread = True
        self.intervals = Intervals()
        self._rows: deque[Row] = deque()
        self._lock = threading.Lock()  # for _rows and for starting the thread
        self._flushing = threading.Lock()  # one flush at a time keeps the rows in order
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, row: Row) -> None:
        """Take one row, or count it as dropped when too many wait."""
        with self._lock:
            fits = len(self._rows) < LIMIT
            if fits:
                self._rows.append(row)
        if not fits:
            catalogue.METRIC_ROWS_DROPPED.inc()
        self.start()

    def start(self) -> None:
        """Start this process's thread unless it runs already."""
        if self._thread is not None or not self.use_thread:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="metric-rows", daemon=True)
                self._thread.start()
                # Not atexit: multiprocessing's children skip that.
                Finalize(self, self.close, exitpriority=100)

    def _run(self) -> None:
        while not self._stop.wait(self.flush_seconds):
            self.flush(intervals=self.intervals.due)

    def flush(self, *, intervals: bool = True) -> None:
        """Write all that waits; with `intervals` also what the running interval has added up.

        Rows that cannot be written wait for the next flush; nothing is raised.
        """
        with self._flushing:
            if intervals and not self.intervals.empty:
                now = datetime.now(UTC)
                for metric_type, value, metadata in self.intervals.drain():
                    self.add(Row(metric_type, value, _json(metadata), now))
            while self._rows and self.writer is not None:
                with self._lock:
                    batch = [self._rows[index] for index in range(min(BATCH, len(self._rows)))]
                try:
                    self.writer(batch)
                except Exception:
                    catalogue.TELEMETRY_ERRORS.inc(sink="rows")
                    logger.exception("event=metric_rows.not_written", extra={"rows": len(batch)})
                    if telemetry.strict:
                        raise
                    return
                with self._lock:
                    for _ in batch:
                        self._rows.popleft()

    def close(self) -> None:
        """Stop the thread and write what waits; the last thing a process does."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(timeout=5)
        if thread is not None:
            self.flush()
            self._thread = None

    def after_fork(self) -> None:
        """Begin empty in a child: what waits belongs to the parent, whose thread goes on there."""
        writer, seconds, use_thread = self.writer, self.flush_seconds, self.use_thread
        Recorder.__init__(self)
        self.writer, self.flush_seconds, self.use_thread = writer, seconds, use_thread


recorder = Recorder()
os.register_at_fork(after_in_child=recorder.after_fork)


def record_metric(
    metric_type: str, value: float, metadata: Mapping[str, Any] | None = None
) -> None:
    """Keep one row (`metric_type` of METRIC_TYPES, a finite `value`, JSON-able `metadata`).

    Returns at once and never raises outside of tests; a row that makes no sense is counted in
    `retail_telemetry_errors_total`. Of a flood of conflicts or refusals, most become one row with
    their count (intervals.py). Ids are welcome in `metadata`, names and addresses of people
    are not.
    """
    try:
        number = float(value)
        if metric_type not in METRIC_TYPES or not math.isfinite(number):
            raise ValueError(f"{metric_type}={value!r} is no metric row; types: {METRIC_TYPES}")  # noqa: TRY301
        facts = dict(metadata or {})
        text = _json(facts)
        if recorder.intervals.add_event(metric_type, number, facts):
            recorder.add(Row(metric_type, number, text, datetime.now(UTC)))
        else:
            recorder.start()
    except Exception:
        if telemetry.strict:
            raise
        catalogue.TELEMETRY_ERRORS.inc(sink="rows")
