"""Password authentication that reuses the account read with the session."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

from accounts.sessions import pop_account


class AccountBackend(ModelBackend):
    """Django's ModelBackend without a second query for the session's account."""

    def get_user(self, user_id: int) -> User | None:
        """Return a session's account if it is still active."""
        user = pop_account(user_id) or User.objects.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
