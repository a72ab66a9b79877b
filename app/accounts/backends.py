"""Django's log-in by name and password, with the account read without the ORM, as sessions are."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

_USER = "SELECT * FROM auth_user WHERE id = %s"


class AccountBackend(ModelBackend):
    """What AUTHENTICATION_BACKENDS names."""

    def get_user(self, user_id: int) -> User | None:
        """Return the account of a session, if it is still active."""
        user = next(iter(User.objects.raw(_USER, [user_id])), None)
        return user if user is not None and self.user_can_authenticate(user) else None
