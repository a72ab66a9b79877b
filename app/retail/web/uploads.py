"""Bodies are small and no files are accepted, except by the views that are marked for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParserError
from django.urls import Resolver404, resolve

from retail.web.problems import problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


V = TypeVar("V", bound="Callable[..., HttpResponseBase]")


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


def takes_large_bodies(view: V) -> V:
    """Mark a view that accepts bodies up to UPLOAD_MOST_BYTES. It must not keep them in memory."""
    view.takes_large_bodies = True  # type: ignore[attr-defined]
    return view


def _most(request: HttpRequest) -> int:
    """Return how many bytes the request's body may have."""
    try:
        view = resolve(request.path_info).func
    except Resolver404:
        view = None
    if getattr(view, "takes_large_bodies", False):
        return settings.UPLOAD_MOST_BYTES
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE


class BodyLimitMiddleware:
    """Refuses bodies that are too large before any of them is read, files included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Refuse a request that is too large, or pass it on."""
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE and length > _most(request):
            return problem(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.get_response(request)
