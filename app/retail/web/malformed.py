"""Requests that Django would fail to read: they are refused, since they are the client's fault."""

from __future__ import annotations

import codecs
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest

from retail.web.client import ignore_forged, parse_address
from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

_LENGTH = re.compile(r"[0-9]{1,18}")
UTF_8 = codecs.lookup("utf-8").name


class Request(WSGIRequest):
    """A request that ignores a Content-Type for which Django raises, before any middleware."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]  # not in the stubs
        except (LookupError, ValueError, SuspiciousOperation):
            # It reads the query in the encoding at once, which may be what has failed.
            self._encoding = None
            self.content_type, self.content_params = "", {}


def _fault(request: HttpRequest) -> HTTPStatus | None:
    """Return the status of a malformed request, or None.

    Django reads query and form in any encoding that Python knows. Some of them are none for text
    (rot13), and some give characters that no database stores (utf-7, unicode_escape).
    """
    for name, value in request.META.items():
        if name.startswith("HTTP_") and "\x00" in value:  # no database stores it
            return HTTPStatus.BAD_REQUEST
    encoding, length = request.encoding, request.META.get("CONTENT_LENGTH") or "0"
    if not _LENGTH.fullmatch(length):
        request.META["CONTENT_LENGTH"] = "0"
        return HTTPStatus.BAD_REQUEST
    if encoding is not None and codecs.lookup(encoding).name != UTF_8:
        request.encoding = UTF_8  # the page may read the query
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return None


class MalformedMiddleware:
    """Refuses malformed requests, before anything reads their query or body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse the request, or pass it on."""
        if parse_address(request.META.get("REMOTE_ADDR", "")) is None:
            request.META["REMOTE_ADDR"] = ""  # of a Unix socket; PostgreSQL takes only addresses
        ignore_forged(request)
        fault = _fault(request)
        return self.get_response(request) if fault is None else problem(request, fault)
