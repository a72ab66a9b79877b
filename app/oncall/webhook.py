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
from oncall.models import LostAlerts
from oncall.services import lost_record, notification_receive
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


def _count(number: int, what: str = "alert") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _refuse(status: HTTPStatus, message: str) -> HttpResponse:
    """Refuse a notification for good, and record that it is lost."""
    lost_record(reason=LostAlerts.Reason.REFUSED, count=None, detail=message, now=timezone.now())
    return _respond(status, message)


def _store(request: HttpRequest) -> HttpResponse:
    """Store a notification, or what could not be read of it. Raises a database error."""
    try:
        received = notification.read(request.body)
    except RequestDataTooBig:
        return _refuse(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Send at most 1 MB: set max_alerts on the webhook."
        )
    except UnreadablePostError:
        return _refuse(HTTPStatus.BAD_REQUEST, "The body is incomplete.")
    except notification.InvalidNotificationError as error:
        return _refuse(HTTPStatus.BAD_REQUEST, str(error))
    notification_receive(notification=received, now=timezone.now())
    unreadable = received.unreadable
    if unreadable and not received.alerts:
        return _respond(HTTPStatus.BAD_REQUEST, unreadable[0])
    message = f"{_count(len(received.alerts))} received."
    if unreadable:
        message += f" {_count(len(unreadable))} unreadable: {unreadable[0]}"
    return _respond(HTTPStatus.OK, message)


def receive(request: HttpRequest) -> HttpResponse:
    """Store a notification.

    Alertmanager retries after a 5xx and gives up after a 4xx. So a 4xx is only returned for what
    can never be stored. A refusal without the token leaves only a log line: strangers must not be
    able to fill the database.
    """
    token = settings.ALERTS_TOKEN
    if not may_read(request.headers.get("Authorization", ""), token, debug=settings.DEBUG):
        logger.warning("event=alert.refused")
        return _respond(
            HTTPStatus.UNAUTHORIZED,
            "Send the ALERTS_TOKEN as a bearer token.",
            WWW_Authenticate='Bearer realm="alerts"',
        )
    try:
        return _store(request)
    except Error:
        logger.exception("event=alert.not_kept")
        return _respond(
            HTTPStatus.SERVICE_UNAVAILABLE, "The database is not responding. Try again."
        )


class AlertWebhookMiddleware:
    """Handle the webhook before most other middleware, like the probes (`retail.web.probes`).

    Alertmanager may use a host name that is not in ALLOWED_HOSTS, sends no CSRF token, and is not
    shop traffic. GET requests to the same path are passed on to the page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Handle a notification, or pass the request on."""
        # With or without the last slash: a redirected POST would arrive as a GET, without alerts.
        if request.path.rstrip("/") != PATH.rstrip("/") or request.method in {"GET", "HEAD"}:
            return self.get_response(request)
        request.unrecorded = True  # type: ignore[attr-defined]  # read by ObservabilityMiddleware
        if request.method == "POST":
            return receive(request)
        return _respond(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "Use GET to view alerts, POST to send them.",
            Allow="GET, HEAD, POST",
        )
