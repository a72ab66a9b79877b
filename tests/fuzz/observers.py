"""Observe a request's changes to the database and errors in the log."""

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
    """Return a table's number of rows and their checksum."""
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the database itself
        rows = sorted(repr(row) for row in cursor.fetchall())
    return len(rows), hashlib.sha256("\n".join(rows).encode("utf-8", "replace")).hexdigest()


class Database:
    """The expected state of all tables, and which of them a request has written to."""

    def __init__(self) -> None:
        self.tables = sorted(connection.introspection.table_names())
        self.written: set[str] = set()
        self.state: dict[str, tuple[int, str]] = {}
        self.accept_all()

    def accept_all(self) -> None:
        """Take the current state of all tables as the expected one."""
        self.state = {table: table_state(table) for table in self.tables}

    def changed(self) -> set[str]:
        """Return the tables written to that differ from their expected state."""
        written, self.written = self.written, set()
        return {table for table in written if table_state(table) != self.state[table]}

    def accept(self, tables: set[str]) -> None:
        """Take the current state of some tables as the expected one."""
        for table in tables:
            self.state[table] = table_state(table)

    def differences(self) -> dict[str, tuple[int, int]]:
        """Return all tables that differ, with their numbers of rows before and now."""
        now = {table: table_state(table) for table in self.tables}
        return {
            table: (self.state[table][0], now[table][0])
            for table in self.tables
            if now[table] != self.state[table]
        }

    def record(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        """Execute a statement and record the tables it writes to."""
        if match := _WRITE.match(sql):
            self.written.add(match[1])
        elif not _READ.match(sql):
            self.written.update(self.tables)
        return execute(sql, params, many, context)


class LoggedErrors(logging.Handler):
    """Collects errors in the log, including records that could not be logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        lines = traceback.format_exception(*record.exc_info)[-3:] if record.exc_info else []
        self.texts.append("".join([f"{record.name} {record.getMessage()}\n", *lines]))

    def take(self) -> list[str]:
        """Return the errors since the last call."""
        texts, self.texts = self.texts, []
        return texts


@contextmanager
def observed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Database, LoggedErrors]]:
    """Observe the database and the log."""
    database, errors = Database(), LoggedErrors()

    def handle_error(handler: logging.Handler, record: logging.LogRecord) -> None:
        errors.texts.append(f"{handler} cannot write {record!r}")

    monkeypatch.setattr(logging.Handler, "handleError", handle_error)
    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(database.record))
        logging.getLogger().addHandler(errors)
        stack.callback(logging.getLogger().removeHandler, errors)
        yield database, errors


def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return every series that a scrape would return now."""
    return {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in REGISTRY.collect()
        for sample in family.samples
    }
