"""Requests that Django would fail to read are refused; what is no address is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axes.models import AccessAttempt
from django.http import HttpResponse
from django.test import Client, RequestFactory

from retail.web.malformed import MalformedMiddleware, Request

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("header", ["User-Agent", "Referer", "X-Nobody-Knows"])
def test_a_header_with_nul_is_refused(client: Client, header: str) -> None:
    answer = client.get("/products/", headers={header: "a\x00b"})
    assert answer.status_code == 400
    assert answer.headers["X-Request-ID"] in answer.content.decode()


@pytest.mark.parametrize("length", ["x", "-1", "+1", "1_0", "9" * 19])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    middleware = MalformedMiddleware(lambda _: HttpResponse())
    request = RequestFactory().get("/", CONTENT_LENGTH=length)
    assert middleware(request).status_code == 400
    assert request.META["CONTENT_LENGTH"] == "0"  # the error page may read the body


@pytest.mark.parametrize(("charset", "status"), [("utf-7", 415), ("latin-1", 415), ("UTF8", 200)])
def test_a_text_in_another_encoding_is_refused(charset: str, status: int) -> None:
    middleware = MalformedMiddleware(lambda _: HttpResponse())
    kind = f"text/plain; charset={charset}"
    request = RequestFactory().post("/?q=%C3%A9", b"a", content_type=kind)
    assert middleware(request).status_code == status
    assert request.GET["q"] == "é"  # the page may read the query


@pytest.mark.parametrize(
    ("charset", "query"),
    [("rot13", "q=1"), ("undefined", "q=1"), ("utf-8", "&".join(["q=1"] * 1001))],
    ids=["no encoding of text", "an encoding that always fails", "too many fields"],
)
def test_a_content_type_for_which_django_raises_is_ignored(charset: str, query: str) -> None:
    environ = RequestFactory()._base_environ(  # type: ignore[attr-defined]  # not in the stubs
        CONTENT_TYPE=f"text/plain; charset={charset}", QUERY_STRING=query
    )
    request = Request(environ)
    assert (request.encoding, request.content_type, request.content_params) == (None, "", {})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        *[(text, None) for text in ("", "unix:", "\xff", "999.1.1.1")],
        ("203.0.113.9", "203.0.113.9"),
    ],
)
def test_what_is_no_address_is_not_stored(
    client: Client, settings: Settings, given: str, stored: str | None
) -> None:
    settings.AXES_ENABLED = True
    form = {"username": "nobody", "password": "wrong"}
    assert client.post("/accounts/login/", form, REMOTE_ADDR=given).status_code == 400
    assert AccessAttempt.objects.get().ip_address == stored
