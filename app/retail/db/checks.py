"""System check: what PostgreSQL has committed is on disk."""

from __future__ import annotations

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import connection

from retail.startup import startup_check


@startup_check
def commits_are_durable() -> list[CheckMessage]:
    """Report a server or connection whose commits a power failure may lose."""
    if connection.vendor != "postgresql":
        return []  # SQLite's setting is the connection's, in config/settings.py
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
        )
        values = dict(cursor.fetchall())
    found: list[CheckMessage] = []
    if values["synchronous_commit"] == "off":
        found.append(
            Error(
                "synchronous_commit is off: after a power failure, customers could be charged for "
                "orders that the database has lost.",
                hint="Let the connection pooler pass the startup parameter `options`, or set "
                "synchronous_commit=on at the server.",
                id="retail.E001",
            )
        )
    if values["fsync"] == "off":
        found.append(
            Warning(
                "PostgreSQL runs with fsync off: a power failure may lose orders, or the database.",
                hint="Set fsync=on in postgresql.conf, except for tests.",
                id="retail.W001",
            )
        )
    return found
