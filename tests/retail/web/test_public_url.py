"""Links in e-mails lead to the shop, whatever host a stranger's request names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import DisallowedHost
from django.test import Client, RequestFactory

from accounts.checks import links_of_emails
from accounts.emails import PASSWORD_RESET
from retail.models import Email
from retail.web.public_url import public_address
from tests.support import make_buyer

if TYPE_CHECKING:
    from pytest_django import Settings

OWN_PORT = "8000"


def link_base(host: str, *, https: bool = False) -> str:
    request = RequestFactory().get("/", secure=https, headers={"Host": host}, SERVER_PORT=OWN_PORT)
    return "://".join(public_address(request))


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("shop.example.com", "http://shop.example.com"),
        ("SHOP.example.com", "http://shop.example.com"),
        ("shop.example.com:8000", "http://shop.example.com:8000"),
        ("shop.example.com:8888", "http://shop.example.com"),
        ("shop.example.com:80", "http://shop.example.com"),
        ("evil.wild.example:8888", "http://shop.example.com"),
        ("wild.example", "http://shop.example.com"),
    ],
)
def test_links_have_an_exactly_allowed_host_and_no_foreign_port(
    settings: Settings, host: str, base: str
) -> None:
    settings.ALLOWED_HOSTS = [".wild.example", "shop.example.com"]
    assert link_base(host) == base
    settings.SHOP_URL = "https://vitrine.example:8443/sub"
    assert link_base(host) == "https://vitrine.example:8443"


def test_links_are_as_safe_as_the_request(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["shop.example.com"]
    assert link_base("shop.example.com", https=True) == "https://shop.example.com"


@pytest.mark.parametrize("pattern", ["*", ".example.com"])
def test_without_any_exact_host_the_shop_does_not_start(settings: Settings, pattern: str) -> None:
    settings.ALLOWED_HOSTS = [pattern]
    assert [problem.id for problem in links_of_emails()] == ["accounts.E002"]
    with pytest.raises(DisallowedHost):
        link_base("a.example.com")
    settings.SHOP_URL = "https://shop.example.com"
    assert links_of_emails() == []


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["testserver:8888", "testserver"])
def test_a_reset_link_leads_to_the_shop(client: Client, host: str) -> None:
    make_buyer("bea")
    form = {"email": "bea@example.com"}
    headers = {"Host": host, "X-Forwarded-Host": "evil.example"}
    assert client.post("/accounts/password-reset/", form, headers=headers).status_code == 302
    email = Email.objects.get(kind=PASSWORD_RESET.name)
    assert email.context == {"protocol": "http", "domain": "testserver"}
