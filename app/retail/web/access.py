"""Access control for pages and data for staff."""

from __future__ import annotations

from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse

from retail.observability.context import rename_request, well_formed
from retail.observability.prometheus import exposition
from retail.web.client import is_from_proxy
from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    View = Callable[..., HttpResponseBase]


def staff_only(view: View) -> View:
    """Redirect anonymous users to the log-in page and refuse other non-staff (403)."""

    @wraps(view)
    def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if "HX-Request" in request.headers:  # htmx would insert the log-in page
                return HttpResponse(status=401, headers={"HX-Refresh": "true"})
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return checked


def exclude_from_metrics(request: HttpRequest) -> None:
    """Leave a request of staff's monitoring pages out of every rate, unless it ends with a 5xx.

    Call it after access was checked: a page that refreshes itself would improve every average.
    """
    request.uncounted = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware


def has_metrics_token(request: HttpRequest) -> bool:
    """Return whether the request has METRICS_TOKEN. If none is set, only development is open."""
    return exposition.may_read(
        request.headers.get("Authorization", ""), settings.METRICS_TOKEN, debug=settings.DEBUG
    )


def request_ids(request: HttpRequest) -> tuple[str, str]:
    """Return the id that a request is believed to have, and one that a stranger wants; "" for none.

    A trusted proxy gives requests its own id, and sends a client's as X-Client-Request-ID.
    """
    believed, offered = "", well_formed(request.META.get("HTTP_X_REQUEST_ID"))
    if is_from_proxy(request):
        believed, offered = offered, well_formed(request.META.get("HTTP_X_CLIENT_REQUEST_ID"))
    if offered and exposition.may_read(
        request.headers.get("Authorization", ""), settings.METRICS_TOKEN, debug=False
    ):
        return offered, ""
    return believed, offered


class StaffRequestIdMiddleware:
    """Keeps the X-Request-ID of staff. Comes after the session."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Give the request the id that it has brought along, if it is staff's; pass it on."""
        offered: str | None = getattr(request, "client_request_id", None)
        if offered is not None and request.user.is_staff:
            request.request_id = offered  # type: ignore[attr-defined]
            request.client_request_id = None  # type: ignore[attr-defined]
            rename_request(offered)
        return self.get_response(request)


def staff_or_token(view: View) -> View:
    """Allow staff, and programs with the token; refuse others with JSON (401, 403)."""

    @wraps(view)
    def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        # The token first: a program has no session to read.
        if has_metrics_token(request) or request.user.is_staff:
            return view(request, *args, **kwargs)
        if request.user.is_authenticated:
            return problem(request, HTTPStatus.FORBIDDEN, as_json=True)
        challenge = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return problem(request, HTTPStatus.UNAUTHORIZED, headers=challenge, as_json=True)

    return checked
