"""What visitors are told when something goes wrong: a sentence, what to do, and a reference.

The reference is the request id, so that support finds the log line. Who asks for JSON gets JSON.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.debug import technical_500_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

PROBLEMS = {
    400: (
        "We could not read that request",
        "Something in the address or the form did not arrive whole. Go back and try once more.",
    ),
    401: (
        "This is for the staff",
        "Send the METRICS_TOKEN as a bearer token, or log in as staff.",
    ),
    403: (
        "You don't have access to this page",
        "Log in with an account that has access to it.",
    ),
    404: (
        "That page is not in the shop",
        (
            "The address may be mistyped, or the thing it showed is gone. "
            "The rest of the shop is where it was."
        ),
    ),
    405: (
        "That page cannot be used that way",
        "It was asked for in a way it does not know. Go back and use the links and buttons there.",
    ),
    413: (
        "That was too much at once",
        "What you sent is larger than any form of this shop. Go back and send less.",
    ),
    429: (
        "That was a little too fast",
        "We had more requests from you than we can serve at once. Wait a moment, then carry on.",
    ),
    500: (
        "Something broke on our side",
        (
            "It was not you. We have noted it. "
            "If you were paying, look at your orders before you pay again."
        ),
    ),
    503: (
        "The shop is catching its breath",
        (
            "We could not reach our own records just now. Try again in a few seconds. If you were "
            "paying, send the same form again: it will not make a second order."
        ),
    ),
}
DATABASE_RETRY_SECONDS = 5

logger = logging.getLogger("retail.problems")


def problem(  # noqa: PLR0913 - all but the first two are given by name
    request: HttpRequest,
    status: int,
    *,
    title: str = "",
    message: str = "",
    headers: Mapping[str, str] | None = None,
    as_json: bool = False,
) -> HttpResponse:
    """Return the answer for `status`, with the usual words unless others are given.

    It is a page, or JSON for who prefers that, and for everybody with `as_json`.
    """
    usual_title, usual_message = PROBLEMS[status]
    told = {
        "status": status,
        "title": title or usual_title,
        "message": message or usual_message,
        "reference": getattr(request, "request_id", ""),
    }
    wanted = request.get_preferred_type(["text/html", "application/json"])
    if as_json or wanted == "application/json":
        return JsonResponse({"error": told}, status=status, headers=headers)
    # A page with the visitor's name and cart needs the database, which may be what is broken.
    page = "problem_plain.html" if status >= 500 else "problem.html"  # noqa: PLR2004
    response = render(request, page, told, status=status)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refused to read."""
    return problem(request, 413 if isinstance(exception, RequestDataTooBig) else 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer who may not."""
    return problem(request, 403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that leads nowhere."""
    return problem(request, 404)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that does not prove it is ours."""
    return problem(
        request,
        403,
        title="That form went stale",
        message="Nothing was saved or charged. Go back, reload the page and send it again. "
        "Your browser must accept cookies from this shop.",
    )


class ProblemMiddleware:
    """Turns exceptions, also those of other middleware, into answers; DEBUG shows the traceback.

    Exceptions get here because DEBUG_PROPAGATE_EXCEPTIONS is on.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer `request`, whatever happens."""
        try:
            response = self.get_response(request)
        except (OperationalError, InterfaceError):
            logger.exception("event=database.unavailable")
            return problem(request, 503, headers={"Retry-After": str(DATABASE_RETRY_SECONDS)})
        except Exception:
            logger.exception("event=http.error")
            if settings.DEBUG:
                return technical_500_response(request, *sys.exc_info())
            return problem(request, 500)
        if response.status_code == 405 and not getattr(response, "content", b"x"):  # noqa: PLR2004
            return problem(request, 405, headers={"Allow": response.headers["Allow"]})
        return response
