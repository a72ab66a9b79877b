"""Forms that were opened before a log-in in another tab, which changes the CSRF token.

Such a form is neither executed nor thrown away: its sender confirms it on a page with the new
token. It must pass Django's whole CSRF check with a token that this browser had before, so no other
site can bring about the confirmation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http.multipartparser import MultiPartParserError
from django.middleware.csrf import CSRF_TOKEN_LENGTH, CsrfViewMiddleware

if TYPE_CHECKING:
    from django.http import HttpRequest

SESSION_KEY = "csrf_before"
MOST_TOKENS = 3
TOKEN_FIELD = "csrfmiddlewaretoken"  # noqa: S105 - a name


def remember_token(request: HttpRequest, **_: Any) -> None:
    """Keep the token that a log-in replaces. Receives Django's `user_logged_in`."""
    token = request.COOKIES.get(settings.CSRF_COOKIE_NAME)
    if token and len(token) <= CSRF_TOKEN_LENGTH:
        earlier = [token, *request.session.get(SESSION_KEY, [])]
        request.session[SESSION_KEY] = earlier[:MOST_TOKENS]


class _Check(CsrfViewMiddleware):
    """Django's check, without the error page."""

    def _reject(self, _request: HttpRequest, reason: str) -> str:
        return reason


def _accepted(request: HttpRequest, token: str) -> bool:
    cookies = request.COOKIES
    request.COOKIES = {**cookies, settings.CSRF_COOKIE_NAME: token}
    try:
        return _Check(lambda _: None).process_view(request, None, (), {}) is None  # type: ignore[arg-type]
    finally:
        request.COOKIES = cookies


def fields_to_confirm(request: HttpRequest) -> list[tuple[str, str]] | None:
    """Return the fields of a form from before a log-in, or None if it must not be confirmed.

    A form with a password is not: the page would show it.
    """
    try:
        form, files = request.POST, request.FILES
    except (OSError, SuspiciousOperation, MultiPartParserError):
        return None  # it cannot be read: the client has gone, or sent nonsense
    if TOKEN_FIELD not in form or files or any("password" in name for name in form):
        return None
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return None  # no page to confirm it on
    if not request.user.is_authenticated:
        return None
    if not any(_accepted(request, token) for token in request.session.get(SESSION_KEY, [])):
        return None
    return [
        (name, value) for name, values in form.lists() if name != TOKEN_FIELD for value in values
    ]
