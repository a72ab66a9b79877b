"""POST /metrics/alerts/: receive notifications from Alertmanager."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import HttpResponse, UnreadablePostError
from django.utils import timezone

from oncall import notification
from oncall.services import alerts_receive
from retail.observability.prometheus.exposition import may_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

PATH = "/metrics/alerts/"

logger = logging.getLogger("retail.alerts")


def _respond(status: HTTPStatus, message: str, **headers: str) -> HttpResponse:
    return HttpResponse(
        f"{message}\n",
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def receive(request: HttpRequest) -> HttpResponse:
    """Store a notification.

    Alertmanager retries after a 5xx and gives up after a 4xx. So a 4xx is only returned for what
    can never be stored.
    """
    token = settings.ALERTS_TOKEN
    if not may_read(request.headers.get("Authorization", ""), token, debug=settings.DEBUG):
        return _respond(
            HTTPStatus.UNAUTHORIZED,
            "Send the ALERTS_TOKEN as a bearer token.",
            WWW_Authenticate='Bearer realm="alerts"',
        )
    try:
        alerts = notification.read(request.body)
    except RequestDataTooBig:
        return _respond(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Send at most 1 MB: set max_alerts on the webhook."
        )
    except UnreadablePostError:
        return _respond(HTTPStatus.BAD_REQUEST, "The body is incomplete.")
    except notification.InvalidNotificationError as error:
        return _respond(HTTPStatus.BAD_REQUEST, str(error))
    try:
        alerts_receive(received=alerts, now=timezone.now())
    except Error:
        logger.exception("event=alert.not_kept")
        return _respond(
            HTTPStatus.SERVICE_UNAVAILABLE, "The database is not responding. Try again."
        )
    plural = "" if len(alerts) == 1 else "s"
    return _respond(HTTPStatus.OK, f"{len(alerts)} alert{plural} received.")


class AlertWebhookMiddleware:
    """Handle the webhook before most other middleware, like the probes (`retail.web.probes`).

    Alertmanager may use a host name that is not in ALLOWED_HOSTS, sends no CSRF token, and is not
    shop traffic. GET requests to the same path are passed on to the page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle a notification, or pass the request on."""
        if request.path != PATH or request.method in {"GET", "HEAD"}:
            return self.get_response(request)
        request.unrecorded = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware
        if request.method == "POST":
            return receive(request)
        return _respond(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "Use GET to view alerts, POST to send them.",
            Allow="GET, HEAD, POST",
        )
