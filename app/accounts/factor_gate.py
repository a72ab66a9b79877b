"""Nobody whose second factor is asked for gets further than to the pages that ask for it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.urls import reverse

from accounts.second_factor import has_factor

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

SESSION_KEY = "second_factor"
ASKED, VERIFIED = "asked", "verified"
CHECK, SET_UP = "accounts:factor_check", "accounts:factor_set_up"
# What may be opened while one of these is missing, besides the log-out.
PAGES = {
    CHECK: (CHECK, "accounts:passkey_check", "accounts:passkey_question"),
    SET_UP: (SET_UP, "accounts:passkey_add", "accounts:passkey_add_question"),
}
LOG_OUT = ("accounts:logout", "admin:logout")


def ask_for_factor(request: HttpRequest, user: User, **_signal: Any) -> None:
    """Remember whether the user has a second factor. Receives Django's `user_logged_in`.

    It is in the session, so that no request needs a query to know.
    """
    if has_factor(user):
        request.session[SESSION_KEY] = ASKED
    else:
        request.session.pop(SESSION_KEY, None)


def is_verified(request: HttpRequest) -> bool:
    """Return whether the session has seen the second factor."""
    return request.session.get(SESSION_KEY) == VERIFIED


def missing_page(request: HttpRequest) -> str | None:
    """Return the name of the page that the visitor must pass first, if any."""
    state = request.session.get(SESSION_KEY)
    if state == VERIFIED or not request.user.is_authenticated:
        return None
    if state == ASKED:
        return CHECK
    return SET_UP if settings.STAFF_MFA and request.user.is_staff else None


class SecondFactorMiddleware:
    """Sends users to the page that is missing. Comes right after the authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponseBase | None:
        """Answer in place of the view while a page is missing, but for those that PAGES allows."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        page = missing_page(request)
        if page is None or request.path in map(reverse, (*PAGES[page], *LOG_OUT)):
            return None
        if "HX-Request" in request.headers:  # htmx would insert the page
            return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
        next_page = request.get_full_path() if request.method in {"GET", "HEAD"} else ""
        return redirect_to_login(next_page, reverse(page))
