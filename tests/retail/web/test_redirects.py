"""A POST is never redirected: clients repeat it as a GET and take another page for success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.urls import get_resolver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.urls import URLPattern, URLResolver
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

TOKEN = {"authorization": "Bearer a-token"}


def _addresses(patterns: list[URLPattern | URLResolver], start: str = "/") -> Iterator[str]:
    """Yield every address without parameters."""
    for entry in patterns:
        path = f"{start}{entry.pattern}"
        if hasattr(entry, "url_patterns"):
            yield from _addresses(entry.url_patterns, path)
        elif not set(path) & set("<(^$\\"):
            yield path


ADDRESSES = sorted(set(_addresses(get_resolver().url_patterns)))


@pytest.mark.parametrize("https", [False, True])
@pytest.mark.parametrize("debug", [False, True])
def test_no_machines_post_is_redirected_on_any_address(
    settings: Settings, debug: bool, https: bool
) -> None:
    settings.DEBUG, settings.SECURE_SSL_REDIRECT = debug, https
    settings.METRICS_TOKEN = settings.ALERTS_TOKEN = "a-token"
    machine = Client(enforce_csrf_checks=True)
    assert {"/metrics/api/", "/metrics/alerts/", "/metrics/quality-scenarios/"} < set(ADDRESSES)
    for address in ADDRESSES:
        for path in {address, address.rstrip("/") or "/", f"{address.rstrip('/')}/"}:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                response = machine.generic(method, path, b"{}", "application/json", headers=TOKEN)
                assert 400 <= response.status_code < 500, (method, path, response.status_code)


def test_over_http_a_post_is_refused_with_the_reason(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.METRICS_TOKEN = True, "a-token"
    machine = Client(enforce_csrf_checks=True)
    response = machine.post("/metrics/api/", headers=TOKEN)
    assert (response.status_code, response.json()["error"]["title"]) == (403, "HTTPS required")
    response = machine.get("/metrics/api/")
    assert (response.status_code, response["Location"]) == (301, "https://testserver/metrics/api/")
    assert Client().post("/metrics/api/", headers=TOKEN, secure=True).status_code == 405


@pytest.mark.parametrize("debug", [False, True])
def test_visitors_are_still_redirected_to_the_slash(settings: Settings, debug: bool) -> None:
    settings.DEBUG = debug
    response = Client().get("/products?q=lamp")
    assert (response.status_code, response["Location"]) == (301, "/products/?q=lamp")
    assert Client().post("/products").status_code == 404
