"""Security headers of every answer, whatever makes it: a view, a probe, an error, the server."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# Some are also set by Django's middlewares, which `check --deploy` asks for, but which see neither
# probes nor the answers of the middlewares before them.
# Static files and views that say otherwise keep their own Cache-Control. All else may be private:
# even the page of a product shows the visitor's cart.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Of answers without styles, scripts and images.
BARE_HEADERS = {**HEADERS, "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
# Django's pages for developers have inline styles and scripts.
_DEBUG_PAGES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.INTERNAL_SERVER_ERROR})
_INLINE = ("script-src", "style-src")


def transport_security() -> str:
    """Return the value of Strict-Transport-Security; "" if it is not sent."""
    if not settings.SECURE_HSTS_SECONDS:
        return ""
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    value += "; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else ""
    return value + ("; preload" if settings.SECURE_HSTS_PRELOAD else "")


def _policy(status: int) -> str:
    policy: str = settings.CONTENT_SECURITY_POLICY
    if settings.DEBUG and status in _DEBUG_PAGES:
        for name in _INLINE:
            policy = policy.replace(f"{name} 'self'", f"{name} 'self' 'unsafe-inline'")
    return policy


class HeadersMiddleware:
    """Adds the headers that a response does not have yet."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, and add the headers."""
        response = self.get_response(request)
        headers = response.headers
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Content-Security-Policy", _policy(response.status_code))
        if request.is_secure() and (value := transport_security()):
            headers.setdefault("Strict-Transport-Security", value)
        return response
