"""Small helpers around the database connection."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


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
