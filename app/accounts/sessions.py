"""Database sessions that load the session, its account and a hint of notices in one query.

Every page view of a logged-in customer needs both. The key is in the visitor's cookie only; the
database has its hash.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import Session
from retail.db.prepared import Statement, columns, instance

if TYPE_CHECKING:
    from datetime import datetime

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
FACTS = ("started_at", "client", "browser")
_WIDTH = len(Session._meta.concrete_fields)  # noqa: SLF001 - documented API

_KEY = re.compile(r"[a-z0-9]{32}")  # what Django makes

# The account of the session read last: Django reads the session just before its account.
_account: ContextVar[User | None] = ContextVar("account", default=None)


def pop_account(user_id: int) -> User | None:
    """Return the account read with the last session if its id is `user_id`, and forget it."""
    account = _account.get()
    _account.set(None)
    return account if account is not None and account.pk == user_id else None


def stored_key(key: str) -> str:
    """Return what is stored of a session's key: who reads the database cannot log in with it."""
    return hashlib.sha256(key.encode()).hexdigest()


def is_over(session: Session, user: User, now: datetime) -> bool:
    """Return whether a session of staff has lasted, or has been idle, for too long."""
    return user.is_staff and (
        (now - session.started_at).total_seconds() >= settings.STAFF_SESSION_SECONDS
        or (now - session.seen_at).total_seconds() >= settings.STAFF_IDLE_SECONDS
    )


class SessionStore(db.SessionStore):
    """Django's database session store, reading the account along with the session."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        # What the stored session says besides its data; saving it keeps this.
        self.facts: dict[str, Any] = {}
        # Of a session that was read, and has an account.
        self.seen_at: datetime | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the session model."""
        return Session

    def _validate_session_key(self, key: str | None) -> bool:
        """Return whether a cookie's key may exist; anything else never reaches the database."""
        return key is not None and _KEY.fullmatch(key) is not None

    def exists(self, session_key: str) -> bool:
        """Return whether a session with this key is stored."""
        return super().exists(stored_key(session_key))

    def delete(self, session_key: str | None = None) -> None:
        """Delete the session with this key; without one, this session."""
        key = session_key or self.session_key
        if key is not None:
            Session.objects.filter(pk=stored_key(key)).delete()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Return an unsaved session with `data` and its account's id."""
        session = super().create_model_instance(data)
        assert isinstance(session, Session)  # noqa: S101 - for the type checker
        session.session_key = stored_key(session.session_key)
        session.user_id = data.get(SESSION_KEY)
        session.started_at = session.seen_at = timezone.now()
        for name, value in self.facts.items():
            setattr(session, name, value)
        return session

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        now = timezone.now()
        key = stored_key(str(self.session_key))
        rows = _SESSION.rows({"key": key, "now": connection.ops.adapt_datetimefield_value(now)})
        session, user = _read(rows[0]) if rows else (None, None)
        if session is None or (user is not None and is_over(session, user, now)):
            _account.set(None)
            self._session_key = None
            return None
        self.facts = {name: getattr(session, name) for name in FACTS}
        self.seen_at = session.seen_at if user is not None else None
        _account.set(user)
        return session

    @classmethod
    def clear_expired(cls) -> None:
        """Delete sessions that are over."""
        super().clear_expired()
        now = timezone.now()
        Session.objects.filter(
            Q(started_at__lte=now - timedelta(seconds=settings.STAFF_SESSION_SECONDS))
            | Q(seen_at__lte=now - timedelta(seconds=settings.STAFF_IDLE_SECONDS)),
            user_id__in=User.objects.filter(is_staff=True).values("pk"),
        ).delete()


def _read(row: tuple[Any, ...]) -> tuple[Session, User | None]:
    """Return the session and its account of a row."""
    account, has_notices = row[_WIDTH:-1], row[-1]
    user = instance(User, account) if account[0] is not None else None
    if user is not None and has_notices:
        user.has_notices = True  # type: ignore[attr-defined]  # read by accounts.services
    return instance(Session, row[:_WIDTH]), user
