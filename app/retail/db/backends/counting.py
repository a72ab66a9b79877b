"""django-prometheus' database series, moved at a fraction of its price.

Its own cursors are classes of their own for the driver, and look each child up by its labels at
every statement. Here Django's wrapper around the driver's cursor counts. Names, labels and meaning
are its own.
"""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django_prometheus.db import (
    connection_errors_total,
    connections_total,
    errors_total,
    execute_many_total,
    execute_total,
    query_duration_seconds,
)

from retail.observability.prometheus.instruments import Adder, adder, observer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    _Connection = BaseDatabaseWrapper
    _Cursor = CursorWrapper
else:
    _Connection = _Cursor = object


class _Series(NamedTuple):
    """What is moved for one database."""

    alias: str
    vendor: str
    executed: Adder
    executed_many: Adder
    observe: Adder

    def failed(self, error: BaseException) -> None:
        """Count an error by the name that the driver has for it."""
        kind = type(error.__cause__ or error).__name__
        errors_total.labels(self.alias, self.vendor, kind).inc()


@cache
def _series(alias: str, vendor: str) -> _Series:
    return _Series(
        alias,
        vendor,
        adder(execute_total.labels(alias, vendor)),
        adder(execute_many_total.labels(alias, vendor)),
        observer(query_duration_seconds.labels(alias, vendor)),
    )


class _Counting(_Cursor):
    """Counts and times statements, and counts their errors."""

    def _execute(self, sql: str, params: Any, *more: Any) -> Any:
        self.db.validate_no_broken_transaction()  # what never gets to the database is not counted
        series = _series(self.db.alias, self.db.vendor)
        started = perf_counter()
        try:
            return super()._execute(sql, params, *more)  # type: ignore[misc]  # django-stubs omits it
        except BaseException as error:
            series.failed(error)
            raise
        finally:
            series.executed(1)
            series.observe(perf_counter() - started)

    def _executemany(self, sql: str, param_list: Sequence[Any], *more: Any) -> Any:
        self.db.validate_no_broken_transaction()
        series = _series(self.db.alias, self.db.vendor)
        started = perf_counter()
        try:
            return super()._executemany(sql, param_list, *more)  # type: ignore[misc]  # likewise
        except BaseException as error:
            series.failed(error)
            raise
        finally:
            series.executed(len(param_list))
            series.executed_many(len(param_list))
            series.observe(perf_counter() - started)


class CountingCursor(_Counting, CursorWrapper):
    """Django's wrapper of a cursor, counting."""


class CountingDebugCursor(_Counting, CursorDebugWrapper):
    """The one that notes all statements, counting."""


class CountingConnection(_Connection):
    """Counts new connections, and those that failed; its cursors count statements."""

    def get_new_connection(self, conn_params: Any) -> Any:
        """Connect."""
        connections_total.labels(self.alias, self.vendor).inc()
        try:
            return super().get_new_connection(conn_params)
        except Exception:
            connection_errors_total.labels(self.alias, self.vendor).inc()
            raise

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        """Wrap the driver's cursor."""
        return CountingCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        """Wrap the driver's cursor where all statements are noted."""
        return CountingDebugCursor(cursor, self)
