"""Buffered log handler.

Callers queue records; a background thread formats and writes them in batches (docs/logging.md). The
thread starts with the first record.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from itertools import compress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from retail.observability.logs.sinks import Console, SharedFile
from retail.observability.prometheus import catalogue

if TYPE_CHECKING:
    from typing import TextIO

LIMIT = 1000  # queued records; beyond it, the caller writes them


class Pending(Protocol):
    """A line that is formatted when it is written, which costs the caller less than a LogRecord."""

    @property
    def levelno(self) -> int:
        """The level, as LogRecord has it."""

    def line(self) -> bytes:
        """Return the line, without the line break."""

    def record(self) -> logging.LogRecord:
        """Return the line as a LogRecord."""


class LineWriter(logging.Handler):
    """Writes records as lines to the file and to standard output, in the order of logging.

    A LogRecord is formatted when it is queued, because its arguments may change; a Pending line is
    formatted by the thread. WARNING and above are written immediately, together with all queued
    records. So is everything with `flush_seconds` 0 or when the process ends. No record is dropped;
    lines that an output does not accept are counted, and reported on stderr.
    """

    def __init__(  # noqa: PLR0913 - one keyword argument per setting
        self,
        *,
        file: str,
        max_bytes: int,
        backups: int,
        console: TextIO,
        console_level: str,
        flush_seconds: float,
    ) -> None:
        super().__init__()
        self.flush_seconds = flush_seconds
        self.use_thread = True
        self.sinks: list[SharedFile | Console] = [
            SharedFile(Path(file), max_bytes, backups),
            Console(console, logging.getLevelNamesMapping()[console_level]),
        ]
        self.reset()
        _writers.add(self)

    def reset(self) -> None:
        """Start empty. In a forked child, queued records belong to the parent."""
        self._queue: deque[logging.LogRecord | Pending] = deque()
        # Reentrant, because a signal handler may log at any point; so is SimpleQueue.put.
        self._writing = threading.RLock()  # one flush at a time, to keep the order
        self._starting = threading.RLock()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False stops the thread
        self._awake = False
        # Torn lines already reported, by the parent if this is a child.
        self._torn_lines = sum(sink.inherited for sink in self.sinks)
        self._immediate = False  # no thread: write in the caller
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue `record` unless a filter rejects it.

        Unlike logging's own `handle`, takes no lock, so callers do not wait for writes.
        """
        if self.filters and not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Format and queue `record`, or write it immediately with all queued records."""
        try:
            self.format(record)  # caches the line on the record
        except Exception:  # noqa: BLE001 - as in logging's own handlers
            self.handleError(record)
        else:
            self.add(record, immediate=record.levelno >= logging.WARNING)

    def add(self, record: logging.LogRecord | Pending, *, immediate: bool = False) -> None:
        """Queue a record, or write it immediately with all queued records."""
        self._queue.append(record)  # first, so that a concurrent close writes it
        if immediate or self._immediate or not self.flush_seconds or len(self._queue) > LIMIT:
            self.flush()
        elif not self._awake:
            self._wake_thread()

    def flush(self) -> None:
        """Write all queued records. Does not raise."""
        with self._writing:
            lines, levels, last = self._take()
            for sink in self.sinks:
                batch = (
                    lines
                    if not levels or min(levels) >= sink.level
                    else list(compress(lines, [level >= sink.level for level in levels]))
                )
                written = sink.written
                try:
                    if batch:
                        sink.write(batch)
                except Exception:  # noqa: BLE001 - as in logging's own handlers
                    self._report(last, len(batch) - (sink.written - written))
            torn = sum(sink.inherited for sink in self.sinks)
            if torn > self._torn_lines:
                self._torn_lines = torn
                catalogue.TELEMETRY_ERRORS.inc(sink="log")
                logging.getLogger("retail.observability").warning("event=log.torn_line")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of the base class
        """Report and count a record that cannot be formatted."""
        self._report(record, 1)

    def _report(self, record: logging.LogRecord | Pending | None, lost: int) -> None:
        """Print the current exception, as logging does, and count the lost lines."""
        # Without a lost line, the file was not rotated: also a failure.
        catalogue.TELEMETRY_ERRORS.inc(max(lost, 1), sink="log")
        if record is not None:
            super().handleError(
                record if isinstance(record, logging.LogRecord) else record.record()
            )

    def close(self) -> None:
        """Stop the thread and write the queue. Later records are written immediately."""
        self._immediate = True
        if self._thread is not None:
            self._wake.put(False)
            self._thread.join(timeout=5)
        self.flush()
        with self._writing:
            for sink in self.sinks:
                sink.close()
        super().close()

    def _take(self) -> tuple[list[bytes], list[int], logging.LogRecord | Pending | None]:
        """Empty the queue; return the lines, their levels, and the last record."""
        lines, levels, queued = [], [], None
        for _ in range(len(self._queue)):
            try:
                queued = self._queue.popleft()
            except IndexError:  # a signal handler wrote the rest meanwhile
                break
            try:
                line = (
                    self.format(queued).encode()
                    if isinstance(queued, logging.LogRecord)
                    else queued.line()
                )
                lines.append(line + b"\n")
                levels.append(queued.levelno)
            except Exception:  # noqa: BLE001 - as in logging's own handlers
                self._report(queued, 1)
        return lines, levels, queued

    def _wake_thread(self) -> None:
        """Wake the thread; start it if it does not run yet."""
        self._awake = True
        if self.use_thread and self._thread is None:
            try:
                self._start()
            except RuntimeError:  # no more threads allowed, or the interpreter is exiting
                self._immediate = True
                self.flush()
        self._wake.put(True)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
                thread.start()
                self._thread = thread
                # Not only atexit: multiprocessing's children skip it.
                Finalize(self, self.close, exitpriority=100)

    def _run(self) -> None:
        running = True
        while running and self._wake.get():
            # While awake, flush every `flush_seconds`; callers need not wake the thread.
            while running and self._awake:
                with contextlib.suppress(queue.Empty):
                    running = self._wake.get(timeout=self.flush_seconds)
                self._awake = False  # before checking the queue: later records wake the thread
                if self._queue:
                    self._awake = True
                    with contextlib.suppress(Exception):  # flush has reported it on stderr
                        self.flush()


_writers: WeakSet[LineWriter] = WeakSet()


def _reset_writers() -> None:
    for writer in list(_writers):
        writer.reset()


os.register_at_fork(after_in_child=_reset_writers)
