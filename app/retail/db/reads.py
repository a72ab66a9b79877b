"""Small helpers around the database connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

# Between a row's time, which the shop sets, and its id, which the database gives it.
ROW_MARGIN = timedelta(minutes=5)
_OLDEST_WRITER = """
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""


@contextmanager
def bounded_read(seconds: float = 2) -> Iterator[None]:
    """Run reads that may not take longer than `seconds` a statement (on PostgreSQL).

    Raises OperationalError when one does. SQLite has no such limit, and a transaction there would
    keep writers waiting.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [int(seconds * 1000)])
        yield


def settled_before() -> datetime:
    """Return a time: of rows made before it, each and each of a lower id is there or never will be.

    Ids are given when a row is written, and rows appear when their transaction commits, so that a
    lower id may appear after a higher one. Ask before reading the rows. On PostgreSQL a transaction
    that has written and is still open holds this time back, however long it lives; SQLite has one
    writer at a time.
    """
    settled = timezone.now()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_OLDEST_WRITER)
            settled = min(settled, cursor.fetchone()[0] or settled)
    return settled - ROW_MARGIN
