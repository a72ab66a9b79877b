"""HEAD requests: the headers of a page, without its body."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.client import ClientHandler

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/products/", "/nowhere/", "/healthz"])
def test_the_answer_to_head_has_the_headers_of_get_and_no_body(path: str) -> None:
    # The test client removes bodies itself; the handler below it does not.
    handler = ClientHandler()
    handler.load_middleware()
    page, head = (
        handler.get_response(getattr(RequestFactory(), method)(path)) for method in ("get", "head")
    )
    assert isinstance(page, HttpResponse)
    assert isinstance(head, HttpResponse)
    assert page.content
    assert head.content == b""
    assert (head.status_code, head["Content-Type"]) == (page.status_code, page["Content-Type"])
    assert head.get("Content-Length") == page.get("Content-Length")
