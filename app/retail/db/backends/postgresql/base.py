"""PostgreSQL backend that counts statements and waits for nothing without end."""

import select
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from retail.db.backends.counting import CountingConnection
from retail.db.backends.postgresql.deadlines import Connection, Cursor

# After the server should have ended a statement, this much later the connection is given up.
MARGIN_SECONDS = 1


class DatabaseWrapper(CountingConnection, base.DatabaseWrapper):
    """Django's PostgreSQL backend, with counted statements, deadlines and a cheaper check."""

    def get_connection_params(self) -> dict[str, Any]:
        """Return the driver's arguments."""
        made = {"connection_factory": Connection, "cursor_factory": Cursor}
        return {**super().get_connection_params(), **made}

    def get_new_connection(self, conn_params: Any) -> Any:
        """Connect."""
        connection = super().get_new_connection(conn_params)
        connection.seconds = settings.DATABASE_STATEMENT_TIMEOUT + MARGIN_SECONDS
        return connection

    def is_usable(self) -> bool:
        """Return whether the server has kept the connection open since the last request.

        Django sends a query, which costs every request a round trip. When a server closes an idle
        connection, the socket becomes readable, and nothing else makes it readable.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
