"""SQLite backend that counts statements."""

from django.db.backends.sqlite3 import base

from retail.db.backends.counting import CountingConnection


class DatabaseWrapper(CountingConnection, base.DatabaseWrapper):
    """Django's SQLite backend, with counted statements."""
