"""PostgreSQL connections on which no call waits for ever.

The server ends statements that take too long, but not if it hangs itself; and the kernel of a
machine whose PostgreSQL hangs still acknowledges what is sent, so that no TCP timeout expires. A
thread therefore watches all waiting calls, and shuts down the socket of one that is overdue. The
caller gets OperationalError, as if the server had gone away.
"""

from __future__ import annotations

import os
import socket
import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions

if TYPE_CHECKING:
    from collections.abc import Callable

CHECK_SECONDS = 0.5  # between two looks at the waiting calls


class _Watch:
    """The calls that wait for the server, by thread, and the thread that ends overdue ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[Connection, float]] = {}
        self._thread: threading.Thread | None = None

    def call(self, connection: Connection, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call what waits for the server, for at most the connection's `seconds`."""
        if self._thread is None:
            self._start()
        caller = threading.get_ident()
        self._waiting[caller] = (connection, monotonic() + connection.seconds)
        try:
            return function(*arguments)
        finally:
            with self._lock:  # not while the watch decides about this call
                del self._waiting[caller]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            sleep(CHECK_SECONDS)
            self._end_overdue()

    def _end_overdue(self) -> None:
        with self._lock:
            now = monotonic()
            for connection, until in list(self._waiting.values()):
                if now > until:
                    connection.abandon()


watch = _Watch()
os.register_at_fork(after_in_child=watch.__init__)  # type: ignore[misc]  # the threads are the parent's


class Connection(extensions.connection):
    """A connection whose calls end after `seconds`, which is set when it is made."""

    seconds: float = 0

    def commit(self) -> None:
        """Commit."""
        watch.call(self, super().commit)

    def rollback(self) -> None:
        """Roll back."""
        watch.call(self, super().rollback)

    def abandon(self) -> None:
        """End a call of another thread that waits for the server."""
        try:
            with socket.socket(fileno=os.dup(self.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)
        except (psycopg2.Error, OSError):
            pass  # it has just ended by itself


class Cursor(extensions.cursor):
    """A cursor of such a connection."""

    connection: Connection

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - named in the base class
        """Execute a statement."""
        watch.call(self.connection, super().execute, query, vars)

    def executemany(self, query: Any, vars_list: Any) -> None:
        """Execute a statement for each of several parameters."""
        watch.call(self.connection, super().executemany, query, vars_list)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """Copy rows from or to a file."""
        watch.call(self.connection, super().copy_expert, sql, file, size)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Return some rows, which a server-side cursor has to request."""
        arguments = () if size is None else (size,)
        rows: list[tuple[Any, ...]]
        if self.name is None:
            rows = super().fetchmany(*arguments)
        else:
            rows = watch.call(self.connection, super().fetchmany, *arguments)
        return rows
