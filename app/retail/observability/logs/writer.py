"""When the log's lines are written: not by the request that they tell of.

Who logs only lays a record on a pile. A thread of the process, which begins with the first record,
makes lines of what lies there and writes many at once, a moment later (docs/logging.md).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from collections import deque
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from retail.observability.logs.sinks import Console, SharedFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

LIMIT = 1000  # more lines do not wait: whoever logs writes them

# What Python's logging knows of every record, for one that nobody asks where it was made.
_BLANK = vars(logging.LogRecord("", logging.NOTSET, "", 0, "", (), None))
# And what of that the shop's own formatter asks for.
_ASKED = {name: _BLANK[name] for name in ("args", "exc_info", "exc_text", "stack_info")}


class PendingRecord(NamedTuple):
    """What `log_event` was told, and when: a record to be."""

    logger: str
    level: int
    message: str
    facts: Mapping[str, Any]
    request_id: str
    created: float  # seconds since 1970

    def record(self, blank: Mapping[str, Any] = _BLANK) -> logging.LogRecord:
        """Return the record, with what else is `blank` in it."""
        record = logging.LogRecord.__new__(logging.LogRecord)
        record.__dict__ = {
            **blank,
            "request_id": self.request_id,
            **self.facts,
            "_facts": self.facts,
            "name": self.logger,
            "msg": self.message,
            "levelno": self.level,
            "levelname": logging.getLevelName(self.level),
            "created": self.created,
            "msecs": self.created % 1 * 1000,
        }
        return record


class LineWriter(logging.Handler):
    """Writes each record as a line to the file and to standard output, in the order of logging.

    What `log_event` was told waits as it is, a record as the line that it is now: what it speaks of
    may change. WARNING and above are written at once, with all that waits before them; so are all
    with `flush_seconds` 0, and when the process ends. Nothing is dropped.
    """

    def __init__(  # noqa: PLR0913 - one for each setting, by name
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
        self.begin()
        _writers.add(self)

    def begin(self) -> None:
        """Begin empty: in a forked child, what waits belongs to the parent, which writes it."""
        self._waiting: deque[logging.LogRecord | PendingRecord] = deque()
        # These may be entered once more by a signal's handler that logs; so may SimpleQueue.put.
        self._writing = threading.RLock()  # one flush at a time keeps the lines in order
        self._starting = threading.RLock()
        self._bell: queue.SimpleQueue[bool] = queue.SimpleQueue()  # whether the thread goes on
        self._rung = False
        self._at_once = False  # whether no thread will come
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Take `record`, unless a filter is against it.

        Under no lock, other than in logging's own: who logs does not wait for who writes.
        """
        if self.filters and not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Let `record` wait for the thread, or write it with all that waits."""
        try:
            self.format(record)  # which keeps the line
        except Exception:  # noqa: BLE001 - as in logging's own handlers
            self.handleError(record)
        else:
            self.add(record, at_once=record.levelno >= logging.WARNING)

    def add(self, line: logging.LogRecord | PendingRecord, *, at_once: bool = False) -> None:
        """Let a line to be wait for the thread, or write it with all that waits."""
        self._waiting.append(line)  # first: whoever closes meanwhile writes it, or it says so
        if at_once or self._at_once or not self.flush_seconds or len(self._waiting) > LIMIT:
            self.flush()
        elif not self._rung:
            self._ring()

    def flush(self) -> None:
        """Write all that waits; nothing is raised."""
        with self._writing:
            records, lines = self._take()
            for sink in self.sinks:
                wanted = [
                    line
                    for record, line in zip(records, lines, strict=True)
                    if record.levelno >= sink.level
                ]
                try:
                    if wanted:
                        sink.write(wanted)
                except Exception:  # noqa: BLE001 - as in logging's own handlers
                    self.handleError(records[-1])

    def close(self) -> None:
        """Stop the thread and write what waits; from now on each line is written at once."""
        self._at_once = True
        if self._thread is not None:
            self._bell.put(False)
            self._thread.join(timeout=5)
        self.flush()
        with self._writing:
            for sink in self.sinks:
                sink.close()
        super().close()

    def _take(self) -> tuple[list[logging.LogRecord], list[bytes]]:
        """Take what waits, and return it with its lines."""
        records, lines = [], []
        for _ in range(len(self._waiting)):
            try:
                waiting = self._waiting.popleft()
            except IndexError:  # a signal's handler came in between and wrote the rest
                break
            record = waiting.record(_ASKED) if isinstance(waiting, PendingRecord) else waiting
            try:
                lines.append(f"{self.format(record)}\n".encode())
                records.append(record)
            except Exception:  # noqa: BLE001 - as in logging's own handlers
                self.handleError(record)
        return records, lines

    def _ring(self) -> None:
        """Wake the thread, which begins with this."""
        self._rung = True
        if self.use_thread and self._thread is None:
            try:
                self._start()
            except RuntimeError:  # the process may have no more threads, or is about to end
                self._at_once = True
                self.flush()
        self._bell.put(True)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
                thread.start()
                self._thread = thread
                # Not atexit alone: multiprocessing's children skip that.
                Finalize(self, self.close, exitpriority=100)

    def _run(self) -> None:
        going_on = True
        while going_on and self._bell.get():
            # Nobody need ring again until nothing has come for a while.
            while going_on and self._rung:
                with contextlib.suppress(queue.Empty):
                    going_on = self._bell.get(timeout=self.flush_seconds)
                self._rung = False  # before looking: what comes after that rings
                if self._waiting:
                    self._rung = True
                    with contextlib.suppress(Exception):  # flush has told standard error
                        self.flush()


_writers: WeakSet[LineWriter] = WeakSet()


def _begin_anew() -> None:
    for writer in list(_writers):
        writer.begin()


os.register_at_fork(after_in_child=_begin_anew)
