"""The outermost middleware: it assigns request ids and records every request."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from retail.observability.context import accepted_request_id, request_context, waited
from retail.observability.logs.formatter import log_event
from retail.observability.prometheus import catalogue
from retail.observability.rows.recorder import recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase
    from django.urls import ResolverMatch

logger = logging.getLogger("retail.observability")

_METHODS = frozenset(catalogue.METHODS)
_STATUS_CLASSES = ("", *catalogue.STATUS_CLASSES)  # by the first digit
_SERVER_ERROR = 500


def view_name(match: ResolverMatch) -> str:
    """Return the route's name; the whole admin counts as one view."""
    if match.app_names[:1] == ["admin"]:
        return "admin"
    return match.view_name if match.url_name else catalogue.UNNAMED


class ObservabilityMiddleware:
    """Assigns each request an id, returns it as a header, and records duration and status.

    It is the outermost middleware, so the duration is the time from the request's arrival to its
    answer, whatever answers it: it includes the wait for a free thread, and the time since a
    trusted proxy has passed the request on.

    The id is the one that `ids_of` believes, or a new one. A stranger's could join another's trace:
    it is only a field of the line, unless the stranger turns out to be staff (retail.web.access).

    Probes and static files get an id but are not recorded, because they would dilute the error
    rate. What a view or another middleware sets on the request:

    - `unrecorded = True`: not recorded either.
    - `uncounted = True`: in no rate or duration, unless it ends with a 5xx, because monitoring must
      not change what it shows.
    - `fast_fail = True`: the duration is also recorded as a refusal by the open circuit breaker.
    """

    # Set when the app is ready.
    static_url = "/static/"
    probes: frozenset[str] = frozenset()
    match_of: Callable[[HttpRequest], ResolverMatch | None] = staticmethod(lambda _request: None)
    views: Callable[[], Iterable[str]] = staticmethod(lambda: ())
    ids_of: Callable[[HttpRequest], tuple[str, str]] = staticmethod(lambda _request: ("", ""))
    since_arrival: Callable[[HttpRequest], float] = staticmethod(lambda _request: 0.0)
    client_of: Callable[[HttpRequest], str] = staticmethod(lambda _request: "")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        catalogue.VIEWS.add(*self.views())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Process and record a request."""
        started = perf_counter() - max(waited.seconds, self.since_arrival(request))
        request_id = self._request_id(request)
        path = request.path
        if path in self.probes or path.startswith(self.static_url):
            with request_context(request_id):
                response = self.get_response(request)
                response.headers["X-Request-ID"] = request_id
                return response
        # Staff's request may rename its context.
        context = request_context(request_id, answers=True, request=request)
        with context:
            catalogue.HTTP_IN_PROGRESS.inc()
            status = _SERVER_ERROR
            try:
                response = self.get_response(request)
                status = response.status_code
                response.headers["X-Request-ID"] = context.request_id
                return response
            finally:
                catalogue.HTTP_IN_PROGRESS.inc(-1)
                if not getattr(request, "unrecorded", False):
                    self._record(request, status, perf_counter() - started, context)

    def _request_id(self, request: HttpRequest) -> str:
        """Set and return the request's id: the one it has brought along, if that is believed."""
        believed, offered = self.ids_of(request)
        request_id = accepted_request_id(believed)
        request.request_id = request_id  # type: ignore[attr-defined]
        if offered:
            request.client_request_id = offered  # type: ignore[attr-defined]
        return request_id

    def _record(
        self, request: HttpRequest, status: int, seconds: float, context: request_context
    ) -> None:
        view = self._view(request, status)
        # Reading request.user would cost a query for requests that have not used it.
        user = getattr(request, "_cached_user", None)
        user_id = str(user.pk) if user is not None and user.pk else None
        if status >= _SERVER_ERROR or not getattr(request, "uncounted", False):
            self._count(request, view, status, seconds, user_id or "")
            context.answered(seconds)
        recorder.start()
        offered: str | None = getattr(request, "client_request_id", None)
        log_event(
            logger,
            logging.WARNING if status >= _SERVER_ERROR else logging.INFO,
            "event=http.request",
            {
                "method": request.method,
                "path": request.path,
                "view": view,
                "status": status,
                "duration_ms": round(seconds * 1000, 3),
                "user_id": user_id,
                "client": self.client_of(request),
                **({"client_request_id": offered} if offered else {}),
            },
        )

    def _view(self, request: HttpRequest, status: int) -> str:
        match = request.resolver_match
        if match is None and status >= _SERVER_ERROR:
            # Another middleware failed first. A failed checkout must still count as one.
            match = self.match_of(request)
        return catalogue.UNMATCHED if match is None else view_name(match)

    @staticmethod
    def _count(request: HttpRequest, view: str, status: int, seconds: float, user_id: str) -> None:
        request_id: str = request.request_id  # type: ignore[attr-defined]
        method: str = request.method if request.method in _METHODS else "other"
        labels = (view, method, _STATUS_CLASSES[status // 100])
        catalogue.HTTP_DURATION.observe_at(labels, seconds, request_id)
        if status >= _SERVER_ERROR:
            catalogue.HTTP_ERRORS.inc(view=view)
        if getattr(request, "fast_fail", False):
            catalogue.FAST_FAIL_DURATION.observe(seconds, request_id)
            recorder.intervals.add_fast_fail(seconds, user_id)
        if request.method != "HEAD" or status >= _SERVER_ERROR:  # probes, not visitors
            recorder.intervals.add_request(status, seconds, view, request_id)
