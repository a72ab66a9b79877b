"""Middleware that assigns request ids and records every request."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from retail.observability.context import accepted_request_id, request_context
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus import catalogue
from retail.observability.rows.recorder import recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

logger = logging.getLogger("retail.observability")

_METHODS = frozenset(catalogue.METHODS)
_SERVER_ERROR = 500


def view_label(request: HttpRequest) -> str:
    """Return the route's name; the whole admin counts as one view, as do unmatched addresses."""
    match = request.resolver_match
    if match is None:
        return "unmatched"
    if match.app_names[:1] == ["admin"]:
        return "admin"
    return match.view_name if match.url_name else "unnamed"


def _path(request: HttpRequest) -> str:
    """Return the path, with a token in it (as in a password reset link) hidden."""
    match = request.resolver_match
    secret = str(match.kwargs.get("token") or "") if match is not None else ""
    return request.path.replace(secret, "[hidden]") if secret else request.path


class ObservabilityMiddleware:
    """Assigns each request an id, returns it as a header, and records duration and status.

    Requests for static files get an id but are not recorded, because they would dilute the error
    rate. If a view sets `request.fast_fail = True`, the duration is also recorded as a refusal by
    the open circuit breaker. If it sets `request.uncounted = True`, the request is left out of the
    metric rows: viewing the dashboard must not change what it shows.
    """

    static_url = "/static/"  # set when the app is ready

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Process and record a request."""
        started = perf_counter()
        request_id = accepted_request_id(request.META.get("HTTP_X_REQUEST_ID"))
        request.request_id = request_id  # type: ignore[attr-defined]
        with request_context(request_id):
            catalogue.HTTP_IN_PROGRESS.inc()
            status = _SERVER_ERROR
            try:
                response = self.get_response(request)
                status = response.status_code
                response.headers["X-Request-ID"] = request_id
                return response
            finally:
                catalogue.HTTP_IN_PROGRESS.inc(-1)
                if not request.path.startswith(self.static_url):
                    self._record(request, status, perf_counter() - started, request_id)

    def _record(self, request: HttpRequest, status: int, seconds: float, request_id: str) -> None:
        view = view_label(request)
        catalogue.HTTP_DURATION.observe(
            seconds,
            request_id,
            view=view,
            method=request.method if request.method in _METHODS else "other",
            status=f"{status // 100}xx",
        )
        # Reading request.user would cost a query for requests that have not used it.
        user = getattr(request, "_cached_user", None)
        user_id = str(user.pk) if user is not None and user.pk else None
        if getattr(request, "fast_fail", False):
            catalogue.FAST_FAIL_DURATION.observe(seconds, request_id)
            recorder.intervals.add_fast_fail(seconds, user_id or "")
        if not getattr(request, "uncounted", False):
            recorder.intervals.add_request(status, seconds, view, request_id)
        recorder.start()
        log_event(
            logger,
            logging.WARNING if status >= _SERVER_ERROR else logging.INFO,
            "event=http.request",
            {
                "method": request.method,
                "path": _path(request),
                "view": view,
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "user_id": user_id,
            },
        )
