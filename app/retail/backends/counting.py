"""django-prometheus' database series, moved at a fraction of its price.

Its own cursors look each child up by its labels at every statement, and on SQLite make a class for
every cursor. Here both happen once. Names, labels and meaning are its own.
"""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from django_prometheus.db import (
    connection_errors_total,
    connections_total,
    errors_total,
    execute_many_total,
    execute_total,
    query_duration_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.backends.base.base import BaseDatabaseWrapper

    _Wrapper = BaseDatabaseWrapper
else:
    _Wrapper = object


class CountingConnection(_Wrapper):
    """Counts new connections, and those that failed."""

    def get_new_connection(self, conn_params: Any) -> Any:
        """Connect."""
        connections_total.labels(self.alias, self.vendor).inc()
        try:
            return super().get_new_connection(conn_params)
        except Exception:
            connection_errors_total.labels(self.alias, self.vendor).inc()
            raise


@cache
def counting(cursor_class: type[Any], alias: str, vendor: str) -> type[Any]:
    """Return `cursor_class` with its statements counted, timed, and their errors counted."""
    executed = execute_total.labels(alias, vendor)
    executed_many = execute_many_total.labels(alias, vendor)
    durations = query_duration_seconds.labels(alias, vendor)

    def failed(error: BaseException) -> None:
        errors_total.labels(alias, vendor, type(error).__name__).inc()

    class CountingCursor(cursor_class):  # type: ignore[misc]  # whichever class it is
        def execute(self, *arguments: Any) -> Any:
            executed.inc()
            started = perf_counter()
            try:
                return super().execute(*arguments)
            except BaseException as error:
                failed(error)
                raise
            finally:
                durations.observe(perf_counter() - started)

        def executemany(self, query: Any, parameters: Sequence[Any], *arguments: Any) -> Any:
            executed.inc(len(parameters))
            executed_many.inc(len(parameters))
            started = perf_counter()
            try:
                return super().executemany(query, parameters, *arguments)
            except BaseException as error:
                failed(error)
                raise
            finally:
                durations.observe(perf_counter() - started)

    return CountingCursor
