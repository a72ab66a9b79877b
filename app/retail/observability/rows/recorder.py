"""Recorder of metric rows: buffered in memory, written by a background thread.

Recording a row only appends it to a list. The row is written within a second, independently of the
current transaction. The thread starts with the first row. At most `LIMIT` rows wait; further rows
are dropped and counted in `retail_metric_rows_dropped_total`. A killed process loses at most the
rows of its last second.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from retail.observability.prometheus import catalogue
from retail.observability.prometheus.instruments import telemetry
from retail.observability.rows import types
from retail.observability.rows.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMIT = 10_000
BATCH = 500

logger = logging.getLogger("retail.observability")


class Row(NamedTuple):
    """A row to be written to the Metric table."""

    metric_type: str
    value: float
    metadata: str  # JSON
    timestamp: datetime


def _json(metadata: dict[str, Any]) -> str:
    return orjson.dumps(metadata, default=str).decode()


class Recorder:
    """Buffers rows until its thread has written them."""

    def __init__(self) -> None:
        self.writer: Callable[[list[Row]], None] | None = None  # set when the database is ready
        self.flush_seconds = 1.0
        self.use_thread = True
        self.intervals = Intervals()
        self._rows: deque[Row] = deque()
        self._lock = threading.Lock()  # for _rows and for starting the thread
        self._flushing = threading.Lock()  # one flush at a time, to keep the order
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, row: Row) -> None:
        """Buffer a row, or drop and count it if the buffer is full."""
        with self._lock:
            fits = len(self._rows) < LIMIT
            if fits:
                self._rows.append(row)
        if not fits:
            catalogue.METRIC_ROWS_DROPPED.inc()
        self.start()

    def start(self) -> None:
        """Start this process's thread, if not yet running."""
        if self._thread is not None or not self.use_thread:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="metric-rows", daemon=True)
                self._thread.start()
                # Not atexit: multiprocessing's children skip it.
                Finalize(self, self.close, exitpriority=100)

    def _run(self) -> None:
        while not self._stop.wait(self.flush_seconds):
            self.flush(intervals=self.intervals.due)

    def flush(self, *, intervals: bool = True) -> None:
        """Write all buffered rows, and with `intervals` also those of the current interval.

        Rows that cannot be written stay in the buffer. Does not raise.
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
        """Stop the thread and write the buffer. Called when the process ends."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(timeout=5)
        if thread is not None:
            self.flush()
            self._thread = None

    def after_fork(self) -> None:
        """Start empty in a forked child: buffered rows belong to the parent, which writes them."""
        writer, seconds, use_thread = self.writer, self.flush_seconds, self.use_thread
        Recorder.__init__(self)
        self.writer, self.flush_seconds, self.use_thread = writer, seconds, use_thread


recorder = Recorder()
os.register_at_fork(after_in_child=recorder.after_fork)


def record_metric(
    metric_type: str, value: float, metadata: Mapping[str, Any] | None = None
) -> None:
    """Record one row: a type from METRIC_TYPES, its value, and JSON-serializable metadata.

    The type defines what the value means. Does not block, and raises only in tests; a row that
    makes no sense is dropped and counted in `retail_telemetry_errors_total`. Floods of stock
    conflicts or throttled requests are folded (intervals.py). Put ids into `metadata`, but no names
    or addresses of people.
    """
    try:
        number = float(value)
        copied = dict(metadata or {})
        types.check(metric_type, number, copied)
        text = _json(copied)  # a snapshot: later changes to `metadata` have no effect
        if recorder.intervals.add_event(metric_type, number, copied):
            recorder.add(Row(metric_type, number, text, datetime.now(UTC)))
        else:
            recorder.start()
    except Exception:
        if telemetry.strict:
            raise
        catalogue.TELEMETRY_ERRORS.inc(sink="rows")
