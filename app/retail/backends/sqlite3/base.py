"""SQLite, counted."""

from typing import Any

from django.db.backends.sqlite3 import base

from retail.backends.counting import CountingConnection, counting


class DatabaseWrapper(CountingConnection, base.DatabaseWrapper):
    """Django's SQLite with cursors that count."""

    def create_cursor(self, name: str | None = None) -> Any:  # noqa: ARG002 - SQLite's have no names
        """Return a cursor."""
        factory = counting(base.SQLiteCursorWrapper, self.alias, self.vendor)
        return self.connection.cursor(factory=factory)
