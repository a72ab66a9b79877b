"""Database sessions that load the session, its account and a hint of notices in one query.

Every page view of a logged-in customer needs both.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.db import connection
from django.utils import timezone

from accounts.models import Session
from retail.db.prepared import Statement, columns, instance

if TYPE_CHECKING:
    from django.contrib.sessions.base_session import AbstractBaseSession

_SESSION = Statement(
    "session",
    f"""
    SELECT {columns(Session, "session")}, {columns(User, "account")},
        EXISTS (SELECT 1 FROM accounts_notice notice WHERE notice.user_id = session.user_id)
    FROM accounts_session session LEFT JOIN auth_user account ON account.id = session.user_id
    WHERE session.session_key = %(key)s AND session.expire_date > %(now)s
    """,  # noqa: S608 - interpolates only column names
    {"key": "text", "now": "timestamptz"},
)
_WIDTH = len(Session._meta.concrete_fields)  # noqa: SLF001 - documented API

_KEY = re.compile(r"[a-z0-9]{32}")  # what Django makes

# The account of the session read last: Django reads the session just before its account.
_account: ContextVar[User | None] = ContextVar("account", default=None)


def pop_account(user_id: int) -> User | None:
    """Return the account read with the last session if its id is `user_id`, and forget it."""
    account = _account.get()
    _account.set(None)
    return account if account is not None and account.pk == user_id else None


class SessionStore(db.SessionStore):
    """Django's database session store, reading the account along with the session."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the session model."""
        return Session

    def _validate_session_key(self, key: str | None) -> bool:
        """Return whether a cookie's key may exist; anything else never reaches the database."""
        return key is not None and _KEY.fullmatch(key) is not None

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Return an unsaved session with `data` and its account's id."""
        session = super().create_model_instance(data)
        assert isinstance(session, Session)  # noqa: S101 - for the type checker
        session.user_id = data.get(SESSION_KEY)
        return session

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        now = connection.ops.adapt_datetimefield_value(timezone.now())
        rows = _SESSION.rows({"key": self.session_key, "now": now})
        if not rows:
            _account.set(None)
            self._session_key = None
            return None
        session, account, has_notices = rows[0][:_WIDTH], rows[0][_WIDTH:-1], rows[0][-1]
        user = instance(User, account) if account[0] is not None else None
        if user is not None and has_notices:
            user.has_notices = True  # type: ignore[attr-defined]  # read by accounts.services
        _account.set(user)
        return instance(Session, session)
