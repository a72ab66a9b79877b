"""Sees what a request did to the database and to the log."""

from __future__ import annotations

import hashlib
import logging
import re
import traceback
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connection
from prometheus_client import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

_WRITE = re.compile(
    r'\s*(?:INSERT\s+(?:OR \w+ )?INTO|UPDATE|DELETE\s+FROM)\s+"([^"]+)"', re.IGNORECASE
)
_READ = re.compile(r"\s*(?:SELECT|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|SET)\b", re.IGNORECASE)


def table_state(table: str) -> tuple[int, str]:
    """Return how many rows a table has and a checksum of all of them."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the database itself
        rows = sorted(repr(row) for row in cursor.fetchall())
    return len(rows), hashlib.sha256("\n".join(rows).encode("utf-8", "replace")).hexdigest()


class Database:
    """All tables as they should be, and which of them a request has written to."""

    def __init__(self) -> None:
        self.tables = sorted(connection.introspection.table_names())
        self.written: set[str] = set()
        self.state: dict[str, tuple[int, str]] = {}
        self.look()

    def look(self) -> None:
        """Take the present state as the right one."""
        self.state = {table: table_state(table) for table in self.tables}

    def changed(self) -> set[str]:
        """Return which of the tables written to differ from what they should be."""
        written, self.written = self.written, set()
        return {table for table in written if table_state(table) != self.state[table]}

    def accept(self, tables: set[str]) -> None:
        """Take the present state of some tables as the right one."""
        for table in tables:
            self.state[table] = table_state(table)

    def differences(self) -> dict[str, tuple[int, int]]:
        """Return the tables, written to or not, that differ: rows before, rows now."""
        now = {table: table_state(table) for table in self.tables}
        return {
            table: (self.state[table][0], now[table][0])
            for table in self.tables
            if now[table] != self.state[table]
        }

    def note(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement, noting what it writes to."""
        if match := _WRITE.match(sql):
            self.written.add(match[1])
        elif not _READ.match(sql):
            self.written.update(self.tables)
        return execute(sql, params, many, context)


class Mistakes(logging.Handler):
    """Keeps what is logged as an error, and what could not be logged at all."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        lines = traceback.format_exception(*record.exc_info)[-3:] if record.exc_info else []
        self.found.append("".join([f"{record.name} {record.getMessage()}\n", *lines]))

    def take(self) -> list[str]:
        """Return what was found since the last time."""
        found, self.found = self.found, []
        return found


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, Mistakes]]:
    """Watch the database and the log."""
    database, mistakes = Database(), Mistakes()

    def cannot(handler: logging.Handler, record: logging.LogRecord) -> None:
        mistakes.found.append(f"{handler} cannot write {record!r}")

    monkeypatch.setattr(logging.Handler, "handleError", cannot)
    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(database.note))
        logging.getLogger().addHandler(mistakes)
        stack.callback(logging.getLogger().removeHandler, mistakes)
        yield database, mistakes


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return every series that a scrape would find now."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        for sample in family.samples
    }
