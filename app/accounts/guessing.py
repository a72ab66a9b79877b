"""Limits for guessing passwords (docs/adr/0024).

Each attempt is counted before its password is checked, so that none slips through meanwhile; one
with the right password is taken back. An attempt from a browser that the user has logged in from
before is counted only with that browser's own; others for the name and the client, for the client,
and for the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from accounts.known_browsers import browser_of, name_hash
from retail.throttling import ThrottledError, give_back, is_within, throttle
from retail.web.client import client_key

if TYPE_CHECKING:
    from django.http import HttpRequest

SCOPE = "login"


def _limits(request: HttpRequest, username: str) -> dict[str, int]:
    client, name = client_key(request), name_hash(username)
    return {
        f"{name}:{client}": settings.LOGIN_FAILURE_LIMIT,
        f"client:{client}": settings.LOGIN_CLIENT_FAILURE_LIMIT,
        f"name:{name}": settings.LOGIN_NAME_FAILURE_LIMIT,
    }


def attempt_count(request: HttpRequest, username: str) -> list[str]:
    """Count an attempt to log in; return the keys to give back if its password is right.

    Raises ThrottledError for one too many.
    """
    seconds: int = settings.LOGIN_COOLOFF_SECONDS
    browser = browser_of(request, username)
    if browser is not None:
        own = f"browser:{browser}"
        if is_within(SCOPE, [own], limit=settings.LOGIN_FAILURE_LIMIT, seconds=seconds):
            return [own]
    limits = _limits(request, username)
    try:
        for key, limit in limits.items():
            throttle(SCOPE, [key], limit=limit, seconds=seconds, user_id=None)
    except ThrottledError as error:
        error.title = "Too many failed log-in attempts"
        error.advice = "or reset your password"
        raise
    return list(limits)


def attempt_take_back(keys: list[str]) -> None:
    """Take an attempt back that was no guess."""
    give_back(SCOPE, keys, seconds=settings.LOGIN_COOLOFF_SECONDS)
