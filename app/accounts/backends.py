"""Django's log-in by name and password; the account comes with the session."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

from accounts.sessions import take_account


class AccountBackend(ModelBackend):
    """What AUTHENTICATION_BACKENDS names."""

    def get_user(self, user_id: int) -> User | None:
        """Return the account of a session, if it is still active."""
        user = take_account(user_id) or User.objects.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
