"""Every answer has the security headers; all pages one policy, without inline scripts or styles."""

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from retail.web.headers import HEADERS, HeadersMiddleware
from tests.fuzz.routes import routes

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/", "/cart/", "/admin/login/", "/nowhere/"])
def test_every_page_has_the_policy(client: Client, page: str) -> None:
    assert client.get(page).headers["Content-Security-Policy"] == POLICY


def answered(response: HttpResponse, **meta: str) -> HttpResponse:
    """Return the response that the middleware makes of `response`."""
    request = RequestFactory().get("/", **meta)  # type: ignore[arg-type]
    answer = HeadersMiddleware(lambda _request: response)(request)
    assert isinstance(answer, HttpResponse)
    return answer


def test_a_view_may_set_its_own_headers() -> None:
    own = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "private"}
    assert answered(HttpResponse(headers=own)).headers.items() >= own.items()


@pytest.mark.parametrize("status", [404, 500])
def test_only_djangos_debug_pages_may_have_inline_styles(settings: Settings, status: int) -> None:
    settings.DEBUG = True
    policy = answered(HttpResponse(status=status)).headers["Content-Security-Policy"]
    assert policy.replace(" 'unsafe-inline'", "") == POLICY != policy
    assert answered(HttpResponse()).headers["Content-Security-Policy"] == POLICY
    settings.DEBUG = False
    assert answered(HttpResponse(status=status)).headers["Content-Security-Policy"] == POLICY


def test_browsers_are_asked_for_https_over_https_only(settings: Settings) -> None:
    name = "Strict-Transport-Security"
    over_https = {"wsgi.url_scheme": "https"}
    assert name not in answered(HttpResponse(), **over_https).headers
    settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 60, True
    assert name not in answered(HttpResponse()).headers
    assert answered(HttpResponse(), **over_https).headers[name] == "max-age=60; includeSubDomains"
    settings.SECURE_HSTS_PRELOAD = True
    assert answered(HttpResponse(), **over_https).headers[name].endswith("; preload")


OTHERS = {
    "unknown address": ("GET", "/nowhere/", {}),
    "no slash": ("GET", "/products", {}),
    "other method": ("PATCH", "/healthz", {}),
    "bad host": ("GET", "/", {"HTTP_HOST": "evil.example"}),
    "bad length": ("POST", "/cart/add/", {"CONTENT_LENGTH": "x"}),
    "bad encoding": ("POST", "/cart/add/", {"CONTENT_TYPE": "text/plain; charset=utf-7"}),
    "NUL": ("GET", "/", {"HTTP_REFERER": "\x00"}),
    "JSON": ("GET", "/nowhere/", {"HTTP_ACCEPT": "application/json"}),
    "no token": ("GET", "/metrics", {}),
    "webhook": ("POST", "/metrics/alerts/", {}),
}


def check(answer: Any, *, private: bool) -> None:
    assert answer.headers.items() >= {**HEADERS, "Cache-Control": answer["Cache-Control"]}.items()
    assert answer.headers["Content-Security-Policy"]
    if private:
        assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("case", OTHERS)
def test_errors_and_answers_to_programs_have_the_headers(client: Client, case: str) -> None:
    method, path, meta = OTHERS[case]
    check(client.generic(method, path, **meta), private=True)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_a_refused_insecure_form_has_the_headers(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.post("/cart/add/")
    assert answer.status_code == 403
    check(answer, private=True)


@pytest.mark.django_db
@pytest.mark.parametrize("broken", ["", "technical"])
def test_a_failure_has_the_headers(
    client: Client, monkeypatch: pytest.MonkeyPatch, settings: Settings, broken: str
) -> None:
    settings.DEBUG = bool(broken)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("products.views.render", fail)
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    check(answer, private=True)


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PATCH"])
def test_every_route_has_the_headers(admin_client: Client, method: str) -> None:
    """Ask each route of the resolver, as a visitor and as staff; ids need not exist."""
    for route in routes():
        path = route.path(dict.fromkeys(route.parameters, "1"))
        for client in (Client(enforce_csrf_checks=True), admin_client):
            if path.startswith("/admin/logout") and client is admin_client:
                continue
            client.raise_request_exception = False
            answer = client.generic(method, path)
            check(answer, private=not path.startswith("/metrics/api/"))


@pytest.mark.django_db  # the end of an answer looks at connections
def test_static_files_may_be_cached(client: Client) -> None:
    answer = client.get("/static/vitrine/vitrine.css")
    assert answer.status_code == 200
    assert "no-store" not in answer.headers["Cache-Control"]
    check(answer, private=False)
    answer.close()
