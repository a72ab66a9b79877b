"""Browsers that a user has logged in from before, known by a signed cookie (docs/adr/0024).

It is no session: it only spares its user the limits that strangers may have used up.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AbstractBaseUser
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

COOKIE = "known_browser"
SEPARATOR = "."  # in no signed value
MOST_USERS = 3  # of one browser
MAX_AGE = 180 * 24 * 3600  # seconds


def name_hash(username: str) -> str:
    """Return what counts and cookies have in place of a username."""
    return hashlib.sha256(username.encode()).hexdigest()


def _signer(username: str) -> TimestampSigner:
    return TimestampSigner(salt=f"accounts.known_browsers:{name_hash(username)}")


def _is_of(username: str, value: str) -> bool:
    try:
        _signer(username).unsign(value, max_age=MAX_AGE)
    except BadSignature:
        return False
    return True


def _values(request: HttpRequest) -> list[str]:
    return request.COOKIES.get(COOKIE, "").split(SEPARATOR)[:MOST_USERS]


def browser_of(request: HttpRequest, username: str) -> str | None:
    """Return the id of the browser if `username` has logged in from it before."""
    ids = (value.partition(":")[0] for value in _values(request) if _is_of(username, value))
    return next(ids, None)


def remember_browser(request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    """Know the browser from now on. Receives Django's `user_logged_in`, too."""
    request.known_from_now_on = user.get_username()  # type: ignore[attr-defined]


class KnownBrowserMiddleware:
    """Gives a browser its cookie with the answer to a log-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, and set the cookie after a log-in."""
        response = self.get_response(request)
        username: str | None = getattr(request, "known_from_now_on", None)
        if username is not None:
            others = [value for value in _values(request) if value and not _is_of(username, value)]
            fresh = _signer(username).sign(secrets.token_hex(16))
            response.set_cookie(
                COOKIE,
                SEPARATOR.join([fresh, *others][:MOST_USERS]),
                max_age=MAX_AGE,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response
