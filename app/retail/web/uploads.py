"""Bodies are small, and nothing takes files."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParserError

from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class NoUploads(FileUploadHandler):
    """Refuses files before anything of them is stored, with a 400."""

    def new_file(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse a file."""
        raise MultiPartParserError("files are not accepted")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:  # noqa: ARG002 - its base's
        """Store nothing. Never reached."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """Return no file."""


class BodyLimitMiddleware:
    """Refuses bodies above DATA_UPLOAD_MAX_MEMORY_SIZE before any of it is read, files included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse a request that is too large, or pass it on."""
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return problem(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.get_response(request)
