"""Frequent statements in plain SQL: building them with the ORM takes longer than running them.

On PostgreSQL they are prepared once per connection.
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

# PostgreSQL error codes: the prepared statement is gone, or a migration changed its columns.
_STALE_CODES = frozenset({"26000", "0A000"})

# Statements prepared on each driver connection, by name.
_prepared: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Statement:
    """One SQL statement with one or more parameters, written as `%(name)s`.

    `name` must be unique; `types` are the parameters' PostgreSQL types.
    """

    name: str
    text: str
    types: Mapping[str, str]

    def rows(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Execute with these parameter values and return the rows."""
        try:
            return self._run(values)
        except DatabaseError as error:
            code = getattr(error.__cause__, "pgcode", None)
            if code not in _STALE_CODES or connection.in_atomic_block:
                raise
        connection.close()  # nothing was executed; a new connection prepares it again
        return self._run(values)

    def _run(self, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(_ready(cursor, self), values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows


def _ready(cursor: CursorWrapper, statement: Statement) -> str:
    """Return the SQL to execute; on PostgreSQL, prepare the statement first if necessary."""
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
def _execute(statement: str, parameters: tuple[str, ...]) -> str:
    return f"EXECUTE {statement} ({', '.join(f'%({name})s' for name in parameters)})"


@cache
def columns(model: type[Model], table: str) -> str:
    """Return the model's columns for a SELECT from `table`, in the order `instance` expects."""
    return ", ".join(f"{table}.{field.column}" for field in model._meta.concrete_fields)  # noqa: SLF001 - a documented API


@cache
def _fields(model: type[Model], vendor: str) -> tuple[list[str], _Converters]:  # noqa: ARG001 - part of the cache key
    """Return the field names and the converters from the driver's values to Python values.

    PostgreSQL needs no converters: its driver returns dates and decimals.
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
    """Return the model instance for a row of `columns`."""
    names, converted = _fields(model, connection.vendor)
    values = list(row)
    for number, column, converters in converted:
        for convert in converters:
            values[number] = convert(values[number], column, connection)
    return model.from_db(connection.alias, names, values)
