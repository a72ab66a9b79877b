"""Additional pages for tests of request recording."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.urls.resolvers import URLPattern, URLResolver

from retail.observability import current_request_id
from retail.observability.prometheus import catalogue


def in_progress() -> float:
    (family,) = catalogue.HTTP_IN_PROGRESS._parent.collect()
    now: float = family.samples[0].value
    return now


def fail(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a bug")


def slow_refusal(request: HttpRequest) -> HttpResponse:
    request.fast_fail = True  # type: ignore[attr-defined]
    return HttpResponse(status=503)


def say_id(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"id": current_request_id(), "in_progress": in_progress()})


urlpatterns: list[URLPattern | URLResolver] = [
    path("fail/", fail, name="fail"),
    path("refuse/", slow_refusal, name="refuse"),
    path("id/", say_id, name="id"),
    path("nameless/", say_id),
    path("", include("config.urls")),
]
