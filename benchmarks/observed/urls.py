"""The shop's addresses, and a view that does nothing."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config import urls


def bare(request: HttpRequest) -> HttpResponse:  # noqa: ARG001 - every view takes the request
    """Answer with two bytes."""
    return HttpResponse(b"ok")


handler400, handler403, handler404 = urls.handler400, urls.handler403, urls.handler404
urlpatterns = [path("bare/", bare, name="bare"), *urls.urlpatterns]
