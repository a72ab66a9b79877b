"""PostgreSQL, counted."""

import select

from django.db.backends.postgresql import base

from retail.db.backends.counting import CountingConnection


class DatabaseWrapper(CountingConnection, base.DatabaseWrapper):
    """Django's PostgreSQL with cursors that count, and a look at a kept connection for nothing."""

    def is_usable(self) -> bool:
        """Whether the server has not gone away since the last request.

        Django asks it, which costs every request a round trip. A server that ends a connection says
        so on it, and nobody else has anything to say while it is idle.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)
