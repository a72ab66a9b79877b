"""All pages have one Content-Security-Policy, without exceptions for scripts or styles."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from pytest_django import Settings

from retail.web.csp import ContentSecurityPolicyMiddleware

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["/", "/cart/", "/admin/login/", "/nowhere/"])
def test_every_page_has_the_policy(client: Client, page: str) -> None:
    assert client.get(page).headers["Content-Security-Policy"] == POLICY


def answered(response: HttpResponse) -> str | None:
    """Return the policy that the middleware sends with `response`."""
    middleware = ContentSecurityPolicyMiddleware(lambda _request: response)
    return middleware(HttpRequest()).headers.get("Content-Security-Policy")


def test_a_view_may_set_its_own_policy() -> None:
    own = HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})
    assert answered(own) == "default-src 'none'"


def test_only_djangos_debug_404_page_has_no_policy(
    settings: Settings,
) -> None:
    settings.DEBUG = True
    assert answered(HttpResponse(status=404)) is None
    assert answered(HttpResponse()) == POLICY
    settings.DEBUG = False
    assert answered(HttpResponse(status=404)) == POLICY
