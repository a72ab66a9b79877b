"""System checks: what PostgreSQL has committed is on disk, and the shop's user has few rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.checks import (
    CheckMessage,
    Error,
    Tags,
    Warning,  # noqa: A004 - Django's name
    register,
)
from django.db import connection

from retail.startup import startup_check

if TYPE_CHECKING:
    from collections.abc import Sequence


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


@register(Tags.database, deploy=True)
def user_has_few_rights(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report a database user whose password opens more than the shop's tables."""
    if not databases or connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles"
            " WHERE rolname = current_user"
        )
        if not cursor.fetchone()[0]:
            return []
    return [
        Warning(
            "The user in DATABASE_URL may do anything with the database server, or create users "
            "or databases there.",
            hint="Let it own the schema of its tables only. With Docker Compose, see "
            '"An existing database" in docs/going-live.md.',
            id="retail.W002",
        )
    ]
