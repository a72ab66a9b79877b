"""Database metrics of django-prometheus, counted by one execute wrapper.

django-prometheus' own backends create a class for each cursor and look up labels for each statement
(figures: ADR 16). Names, labels and meaning of the metrics are the same.
"""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from django_prometheus.db import (
    connection_errors_total,
    connections_total,
    errors_total,
    execute_many_total,
    execute_total,
    query_duration_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper
    from prometheus_client import Counter, Histogram

    _Connection = BaseDatabaseWrapper
else:
    _Connection = object


class _Series(NamedTuple):
    """The labelled metrics of one database."""

    executed: Counter
    executed_many: Counter
    duration: Histogram


@cache
def _series(alias: str, vendor: str) -> _Series:
    return _Series(
        execute_total.labels(alias, vendor),
        execute_many_total.labels(alias, vendor),
        query_duration_seconds.labels(alias, vendor),
    )


def count_statement(
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
) -> Any:
    """Execute a statement; count and time it, and count errors by the driver's exception type."""
    connection: BaseDatabaseWrapper = context["connection"]
    connection.validate_no_broken_transaction()  # raises before anything is sent or counted
    alias, vendor = connection.alias, connection.vendor
    series = _series(alias, vendor)
    started = perf_counter()
    try:
        return execute(sql, params, many, context)
    except BaseException as error:
        errors_total.labels(alias, vendor, type(error.__cause__ or error).__name__).inc()
        raise
    finally:
        count = len(params) if many else 1
        series.executed.inc(count)
        if many:
            series.executed_many.inc(count)
        series.duration.observe(perf_counter() - started)


class CountingConnection(_Connection):
    """Counts statements, new connections, and failed connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute_wrappers.append(count_statement)

    def get_new_connection(self, conn_params: Any) -> Any:
        """Connect."""
        connections_total.labels(self.alias, self.vendor).inc()
        try:
            return super().get_new_connection(conn_params)
        except Exception:
            connection_errors_total.labels(self.alias, self.vendor).inc()
            raise
