"""security.txt names a contact, if there is one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

PATH = "/.well-known/security.txt"


@pytest.mark.django_db
def test_without_a_contact_there_is_no_file(client: Client, settings: Settings) -> None:
    settings.SECURITY_CONTACT = ""
    assert client.get(PATH).status_code == 404


def test_the_file_has_what_the_rfc_demands(client: Client, settings: Settings) -> None:
    settings.SECURITY_CONTACT = "mailto:security@example.com"
    settings.SHOP_URL = "https://shop.example.com"
    response = client.get(PATH)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    fields = dict(re.findall(r"^([A-Z][\w-]+): (.+)$", response.content.decode(), re.MULTILINE))
    assert fields["Contact"] == "mailto:security@example.com"
    assert fields["Canonical"] == f"https://shop.example.com{PATH}"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=365)


@pytest.mark.parametrize(
    ("given", "contact"),
    [
        ("", ""),
        ("security@example.com", "mailto:security@example.com"),
        ("mailto:security@example.com", "mailto:security@example.com"),
        ("https://example.com/security", "https://example.com/security"),
    ],
)
def test_a_contact_is_a_url(monkeypatch: pytest.MonkeyPatch, given: str, contact: str) -> None:
    monkeypatch.setenv("SECURITY_CONTACT", given)
    assert env.contact("SECURITY_CONTACT") == contact


@pytest.mark.parametrize("given", ["us", "http://example.com", "a@b\nExpires: never", "ftp://x"])
def test_what_is_no_contact_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SECURITY_CONTACT", given)
    with pytest.raises(ImproperlyConfigured, match="must be an e-mail or an https address"):
        env.contact("SECURITY_CONTACT")
