"""Statements asked so often that to have the ORM compose them takes longer than to run them.

On PostgreSQL each connection has its server parse and plan them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from django.db import DatabaseError, connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from django.db.backends.utils import CursorWrapper
    from django.db.models import Model
    from django.db.models.expressions import Col

    _Converters = list[tuple[int, Col, list[Callable[[Any, Col, Any], Any]]]]

M = TypeVar("M", bound="Model")

# PostgreSQL's codes for a prepared statement that was lost, or whose columns a migration changed.
_NO_LONGER_GOOD = frozenset({"26000", "0A000"})

# Of each connection of the driver's, by name: what it has prepared.
_prepared: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Statement:
    """One statement in SQL, with one or more parameters, written as `%(name)s`.

    `name` is its own within a connection; `types` are PostgreSQL's, of the parameters.
    """

    name: str
    text: str
    types: Mapping[str, str]

    def rows(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run it with `values` by parameter; return its rows."""
        try:
            return self._run(values)
        except DatabaseError as error:
            code = getattr(error.__cause__, "pgcode", None)
            if code not in _NO_LONGER_GOOD or connection.in_atomic_block:
                raise
        connection.close()  # nothing was run; another connection prepares it anew
        return self._run(values)

    def _run(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(_ready(cursor, self), values)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found


def _ready(cursor: CursorWrapper, statement: Statement) -> str:
    """Return what to execute, prepared if this connection can and has not yet."""
    if connection.vendor != "postgresql":
        return statement.text
    prepared = _prepared.setdefault(connection.connection, {})
    if prepared.get(statement.name) is not statement.text:
        if prepared.pop(statement.name, None) is not None:
            cursor.execute(f"DEALLOCATE {statement.name}")
        _prepare(cursor, statement)
        prepared[statement.name] = statement.text
    return _execute(statement.name, tuple(statement.types))


def _prepare(cursor: CursorWrapper, statement: Statement) -> None:
    numbers = {name: f"${number}" for number, name in enumerate(statement.types, 1)}
    types = ", ".join(statement.types.values())
    cursor.execute(f"PREPARE {statement.name} ({types}) AS {statement.text % numbers}")


@cache
def _execute(name: str, parameters: tuple[str, ...]) -> str:
    return f"EXECUTE {name} ({', '.join(f'%({one})s' for one in parameters)})"


@cache
def columns(model: type[Model], table: str) -> str:
    """Return the model's columns for a SELECT from `table`, in the order `instance` wants."""
    return ", ".join(f"{table}.{field.column}" for field in model._meta.concrete_fields)  # noqa: SLF001 - public in all but its name


@cache
def _fields(model: type[Model], vendor: str) -> tuple[list[str], _Converters]:  # noqa: ARG001 - each database has its own
    """Return the names of the fields, and what turns the driver's values into theirs.

    On PostgreSQL nothing needs to: the driver knows dates and money.
    """
    names: list[str] = []
    converted: _Converters = []
    for number, field in enumerate(model._meta.concrete_fields):  # noqa: SLF001 - as above
        names.append(field.attname)
        column = field.get_col(model._meta.db_table)  # noqa: SLF001 - as above
        converters = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
        if converters:
            converted.append((number, column, converters))
    return names, converted


def instance(model: type[M], row: Sequence[Any]) -> M:
    """Return the object of a row of the model's `columns`."""
    names, converted = _fields(model, connection.vendor)
    values = list(row)
    for number, column, converters in converted:
        for convert in converters:
            values[number] = convert(values[number], column, connection)
    return model.from_db(connection.alias, names, values)
