"""Error pages: what went wrong, what to do, and a reference. JSON for clients that prefer it.

The reference is the request id, by which support finds the log line.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.debug import technical_500_response

from retail.throttling import ThrottledError
from retail.web.forms_before_login import fields_to_confirm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

PROBLEMS = {
    400: (
        "Invalid request",
        "Part of the address or form was missing or damaged. Go back and try again.",
    ),
    401: (
        "Authentication required",
        "Send METRICS_TOKEN as a bearer token, or log in as staff.",
    ),
    403: (
        "You don't have access to this page",
        "Log in with an account that has access to it.",
    ),
    404: (
        "Page not found",
        "Check the address for typos. The page may also have been removed.",
    ),
    405: (
        "Not possible on this page",
        "This page doesn't accept this kind of request. Go back and use its links and buttons.",
    ),
    409: (
        "Not possible at the moment",
        "Something else is being done that has to end first. Try again in a few minutes.",
    ),
    411: (
        "Length required",
        "Send the length of the body (Content-Length).",
    ),
    413: (
        "Too much data",
        "You sent more than we accept. Go back and send less.",
    ),
    415: (
        "Encoding not supported",
        "Send text in UTF-8.",
    ),
    429: (
        "Too many requests",
        "You've sent too many requests in a short time. Wait a moment, then try again.",
    ),
    500: (
        "Something went wrong on our side",
        (
            "This isn't your fault, and we've logged the error. "
            "If you were paying, check your orders before you pay again."
        ),
    ),
    503: (
        "The shop is temporarily unavailable",
        (
            "We can't reach our database. Try again in a few seconds. If you were paying, send the "
            "same form again: you won't be charged twice."
        ),
    ),
}
DATABASE_RETRY_SECONDS = 5
# PostgreSQL's codes of a transaction that was idle, or lasted, for too long: no OperationalError.
_ENDED_TRANSACTION = frozenset({"25P03", "25P04"})

logger = logging.getLogger("retail.problems")


def problem(  # noqa: PLR0913 - all but the first two are keyword-only
    request: HttpRequest,
    status: int,
    *,
    title: str = "",
    message: str = "",
    headers: Mapping[str, str] | None = None,
    as_json: bool = False,
) -> HttpResponse:
    """Return the error response for `status`, with its default title and message unless given.

    It is an HTML page, or JSON if the client prefers it or with `as_json`.
    """
    default_title, default_message = PROBLEMS[status]
    context = {
        "status": status,
        "title": title or default_title,
        "message": message or default_message,
        "reference": getattr(request, "request_id", ""),
    }
    preferred = request.get_preferred_type(["text/html", "application/json"])
    if as_json or preferred == "application/json":
        return JsonResponse({"error": context}, status=status, headers=headers)
    # The usual page header needs the database, which may be the problem.
    page = "problem_plain.html" if status >= 500 else "problem.html"  # noqa: PLR2004
    response = render(request, page, context, status=status)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def problem_message(request: HttpRequest, text: str) -> None:
    """Show a problem on the next page, with the reference of this request."""
    messages.error(request, text, extra_tags=getattr(request, "request_id", ""))


def too_many_requests(request: HttpRequest, error: ThrottledError) -> HttpResponse:
    """Return the response for a client that has to wait."""
    advice = f", {error.advice}" if error.advice else ""
    return problem(
        request,
        429,
        title=error.title,
        message=f"Try again in {error.wait}{advice}.",
        headers={"Retry-After": str(error.retry_after)},
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle a request that Django rejected: 400 or 413."""
    return problem(request, 413 if isinstance(exception, RequestDataTooBig) else 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle PermissionDenied."""
    return problem(request, 403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handle an unknown address."""
    return problem(request, 404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Handle a form without a valid CSRF token."""
    fields = fields_to_confirm(request)
    if fields is not None:
        return _confirm(request, fields)
    return problem(
        request,
        403,
        title="This form has expired",
        message="Nothing was saved or charged. Go back, reload the page and send it again. "
        "Make sure your browser accepts cookies from this shop.",
    )


def _confirm(request: HttpRequest, fields: list[tuple[str, str]]) -> HttpResponse:
    """Show a form from before a log-in again, to be confirmed."""
    context = {
        "title": "Please confirm",
        "message": "You've logged in since you opened the page, so nothing has been done yet. "
        "Continue to send it as you filled it in.",
        "action": request.get_full_path(),
        "fields": fields,
    }
    return render(request, "confirm_form.html", context, status=403)


def _is_unavailable(error: Exception) -> bool:
    """Whether the database was away, locked or too slow; the request may succeed later."""
    ended = getattr(error.__cause__, "pgcode", None) in _ENDED_TRANSACTION
    return ended or isinstance(error, OperationalError | InterfaceError)


class ProblemMiddleware:
    """Turns exceptions of views and middleware into error pages; DEBUG shows the traceback.

    Exceptions get here because DEBUG_PROPAGATE_EXCEPTIONS is on.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return a response, even if the request raises."""
        try:
            response = self.get_response(request)
        except Exception as error:
            if _is_unavailable(error):
                logger.exception("event=database.unavailable")
                return problem(request, 503, headers={"Retry-After": str(DATABASE_RETRY_SECONDS)})
            logger.exception("event=http.error")
            if settings.DEBUG:
                return technical_500_response(request, *sys.exc_info())
            return problem(request, 500)
        if response.status_code == 405 and not getattr(response, "content", b"x"):  # noqa: PLR2004
            return problem(request, 405, headers={"Allow": response.headers["Allow"]})
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer a request that a view has found to be one too many."""
        return too_many_requests(request, error) if isinstance(error, ThrottledError) else None
