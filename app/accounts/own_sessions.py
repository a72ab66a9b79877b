"""A user's open sessions: list them, end them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import HASH_SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import Session
from accounts.sessions import is_over
from retail.security.trail import actor, record, subject_of

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def sessions_open(user: User) -> list[Session]:
    """Return the sessions with which a user is logged in, the one used last first.

    A session from before the password was changed is none.
    """
    now, known = timezone.now(), user.get_session_auth_hash()
    rows = Session.objects.filter(user_id=user.pk, expire_date__gt=now).order_by("-seen_at")
    return [
        row
        for row in rows
        if not is_over(row, user, now)
        and constant_time_compare(row.get_decoded().get(HASH_SESSION_KEY, ""), known)
    ]


def sessions_end(user: User, *, only: str | None = None, keep: str | None = None) -> int:
    """End one session of a user, or all but the one to keep, by stored keys; return how many."""
    rows = Session.objects.filter(user_id=user.pk)
    rows = rows.exclude(pk=keep) if only is None else rows.filter(pk=only)
    count = rows.delete()[0]
    if count:
        detail = f"sessions: {count}"
        record("session_ended", user_id=actor(), subject=subject_of(user), detail=detail)
    return count
