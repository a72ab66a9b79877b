"""Redirects to HTTPS and to the address with a slash, only of requests that survive one.

Clients repeat a redirected POST as a GET, without its body: a program would take the answer of
another page for success. So only GET and HEAD are redirected.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.middleware.common import CommonMiddleware

from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

REDIRECTED = frozenset({"GET", "HEAD"})


class HttpsMiddleware:
    """Refuses the requests over HTTP that Django's SecurityMiddleware must not redirect."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse a request over HTTP, or pass it on."""
        plain = settings.SECURE_SSL_REDIRECT and not request.is_secure()
        if not plain or request.method in REDIRECTED:
            return self.get_response(request)
        return problem(
            request,
            HTTPStatus.FORBIDDEN,
            title="HTTPS required",
            message="Send the request to the same address with https.",
            as_json=True,
        )


class SlashMiddleware(CommonMiddleware):
    """CommonMiddleware that answers other methods with 404."""

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        """Whether to redirect to the address with a slash."""
        return request.method in REDIRECTED and super().should_redirect_with_slash(request)
