"""Connections to Valkey that obey `retail.sockets.bounded`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from retail.sockets import bind, seconds_left

if TYPE_CHECKING:
    import socket


class BoundPool(redis.ConnectionPool):
    """A connection pool whose sockets are bound."""

    def __init__(
        self, connection_class: type[redis.Connection] = redis.Connection, **options: Any
    ) -> None:
        class BoundConnection(connection_class):  # type: ignore[misc, valid-type]  # with or without TLS
            def _connect(self) -> socket.socket:
                seconds_left(None)
                return bind(super()._connect())

        super().__init__(connection_class=BoundConnection, **options)
