"""Password authentication with limits, which reuses the account read with the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User

from accounts.guessing import attempt_count, attempt_take_back
from accounts.sessions import pop_account
from retail.throttling import ThrottledError

if TYPE_CHECKING:
    from django.http import HttpRequest


class AccountBackend(ModelBackend):
    """Django's ModelBackend, with limits, and without a second query for the session's account."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **options: Any,
    ) -> User | None:
        """Return the user if the password is right. Raises ThrottledError for too many guesses."""
        if request is None or username is None:
            return super().authenticate(request, username, password, **options)
        keys = attempt_count(request, username)
        try:
            user = super().authenticate(request, username, password, **options)
        except ThrottledError:  # the password was not looked at
            attempt_take_back(keys)
            raise
        if user is not None:
            attempt_take_back(keys)
        return user

    def get_user(self, user_id: int) -> User | None:
        """Return a session's account if it is still active."""
        user = pop_account(user_id) or User.objects.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
