"""Bounded reads, and a safe upper bound for incremental reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

# Upper bound between the time that the shop sets on a row and the database assigning its id.
ROW_MARGIN = timedelta(minutes=5)
_OLDEST_WRITER = """
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""


@contextmanager
def bounded_read(seconds: float = 2) -> Iterator[None]:
    """Limit each statement inside to `seconds` (PostgreSQL only).

    A statement that takes longer raises OperationalError. SQLite has no such limit, and a
    transaction there would block writers.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [int(seconds * 1000)])
        yield


@contextmanager
def joined_as_a_whole() -> Iterator[None]:
    """Let statements inside join tables by hash or by sorting, not row by row (PostgreSQL only).

    For rows that were just written, of which the server has no statistics: it takes them for few,
    and would compare each of them with each of the others.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")


def settled_before() -> datetime:
    """Return a time before which no more rows can appear, by creation time or by id.

    A row gets its id when it is written and becomes visible when its transaction commits, so a
    lower id may appear after a higher one. Call this before reading the rows. On PostgreSQL, the
    time stays at the start of the oldest open transaction that has written; SQLite allows only one
    writer at a time.
    """
    settled = timezone.now()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_OLDEST_WRITER)
            settled = min(settled, cursor.fetchone()[0] or settled)
    return settled - ROW_MARGIN
