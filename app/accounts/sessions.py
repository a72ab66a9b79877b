"""Django's sessions in the database, read without the ORM: every page of every customer reads one.

To have the ORM compose the statement takes longer than to run it (benchmarks/checkout.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.sessions.backends import db
from django.db import connection
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.sessions.base_session import AbstractBaseSession

_SESSION = "SELECT * FROM django_session WHERE session_key = %s AND expire_date > %s"


class SessionStore(db.SessionStore):
    """What SESSION_ENGINE names."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        found = self.model.objects.raw(_SESSION, [self.session_key, now])
        session = next(iter(found), None)
        if session is None:
            self._session_key = None
        return session
