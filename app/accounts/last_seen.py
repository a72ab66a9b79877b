"""Keeps when and from where a session was last used, with a write every few minutes at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from accounts.browsers import browser_name
from accounts.models import Session
from accounts.sessions import SessionStore, stored_key
from retail.observability.prometheus import catalogue
from retail.web.client import client_address

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

SEEN_EVERY = 300  # seconds; a session's idle time is known no better


def _from_where(request: HttpRequest) -> dict[str, Any]:
    return {
        "client": client_address(request),
        "browser": browser_name(request.headers.get("User-Agent", "")),
    }


def remember_log_in(request: HttpRequest, **_signal: Any) -> None:
    """Let the session begin at its log-in. Receives Django's `user_logged_in`."""
    if isinstance(request.session, SessionStore):
        request.session.facts = {"started_at": timezone.now(), **_from_where(request)}


def _is_due(request: HttpRequest, seen_at: datetime) -> bool:
    """Return whether a request is to be kept: pages that someone opens, not those that refresh.

    A form is followed by a page, so that no order has this query.
    """
    return (
        request.method in {"GET", "HEAD"}
        and "HX-Request" not in request.headers
        and (timezone.now() - seen_at).total_seconds() >= SEEN_EVERY
    )


class LastSeenMiddleware:
    """Updates a session that has been read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass the request on, and keep that the session was used."""
        response = self.get_response(request)
        session = request.session
        seen_at: datetime | None = getattr(session, "seen_at", None)
        if seen_at is not None and session.session_key and _is_due(request, seen_at):
            rows = Session.objects.filter(pk=stored_key(session.session_key))
            try:
                rows.update(seen_at=timezone.now(), **_from_where(request))
            except (DatabaseError, InterfaceError):  # the page is ready
                catalogue.TELEMETRY_ERRORS.inc(sink="security")
        return response
