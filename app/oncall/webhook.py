"""POST /metrics/alerts/: where Alertmanager tells the shop of alerts."""

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


def _answer(status: HTTPStatus, sentence: str, **headers: str) -> HttpResponse:
    return HttpResponse(
        f"{sentence}\n",
        status=status,
        content_type="text/plain; charset=utf-8",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def receive(request: HttpRequest) -> HttpResponse:
    """Take a notification.

    Alertmanager sends again after a 5xx and gives up after a 4xx, so only what can never be stored
    is answered with one.
    """
    token = settings.ALERTS_TOKEN
    if not may_read(request.headers.get("Authorization", ""), token, debug=settings.DEBUG):
        return _answer(
            HTTPStatus.UNAUTHORIZED,
            "Send the ALERTS_TOKEN as a bearer token.",
            WWW_Authenticate='Bearer realm="alerts"',
        )
    try:
        told = notification.read(request.body)
    except RequestDataTooBig:
        return _answer(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Send at most 1 MB: set max_alerts on the webhook."
        )
    except UnreadablePostError:
        return _answer(HTTPStatus.BAD_REQUEST, "The body did not arrive whole.")
    except notification.NotUnderstoodError as error:
        return _answer(HTTPStatus.BAD_REQUEST, str(error))
    try:
        alerts_receive(told=told, now=timezone.now())
    except Error:
        logger.exception("event=alert.not_kept")
        return _answer(
            HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer: send it again."
        )
    return _answer(HTTPStatus.OK, f"{len(told)} alerts taken.")


class AlertWebhookMiddleware:
    """Answers the webhook before everything else, as the probes are (`retail.web.probes`).

    Alertmanager asks by a name that ALLOWED_HOSTS need not know, has no CSRF token, and is not the
    shop's traffic. People who GET the page at this address go the usual way.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the webhook, or pass the request on."""
        if request.path != PATH or request.method in {"GET", "HEAD"}:
            return self.get_response(request)
        if request.method == "POST":
            return receive(request)
        return _answer(
            HTTPStatus.METHOD_NOT_ALLOWED, "Use GET to look, POST to tell.", Allow="GET, HEAD, POST"
        )
