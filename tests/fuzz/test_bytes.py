"""Odd bytes in every place that a client writes: cookies, headers, queries, paths, bodies."""

from __future__ import annotations

import importlib
import io
from itertools import cycle
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import pytest
from django.core.handlers.wsgi import WSGIRequest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from retail.web.malformed import Request
from tests.fuzz import bytes as odd
from tests.fuzz import hostile
from tests.fuzz.fuzzer import FuzzRequest
from tests.fuzz.routes import routes

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.fuzz.conftest import FuzzSession
    from tests.fuzz.fuzzer import Fuzzer

LOG_IN = b"username=customer&password=wrong&email=a%40b.example"
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {odd.TOKEN}"}


@pytest.fixture
def fuzzer(session: FuzzSession, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Fuzzer:
    """Return a fuzzer that may enter everything."""
    # The test client has a handler of its own.
    monkeypatch.setattr("django.test.client.WSGIRequest", Request)
    settings.METRICS_TOKEN = settings.ALERTS_TOKEN = odd.TOKEN
    settings.CSRF_TRUSTED_ORIGINS = ["https://shop.example"]  # or Origin is hardly read
    return session.fuzzer


def send(fuzzer: Fuzzer, path: str, **changes: Any) -> None:
    """Send a GET and a POST, as a visitor and as staff in turn."""
    headers = {**BEARER, **changes.pop("headers", {})}
    form = {"body": LOG_IN, "content_type": hostile.FORM, "token": True}
    for actor, method, body in (("staff", "GET", {}), ("nobody", "POST", form)):
        request = FuzzRequest(actor, method, path.encode(), headers=headers, **{**body, **changes})
        if method == "POST" and path.startswith("/metrics/alerts"):
            assert fuzzer.send(request).status_code < 500, request
            fuzzer.errors.take()  # what is refused is logged and stored as lost
            fuzzer.database.accept({"oncall_lostalerts"})
        else:
            fuzzer.send_and_check(request)


def test_odd_cookies(fuzzer: Fuzzer, session: FuzzSession) -> None:
    """Every page reads the session, so one cookie is sent to all of them, and all to some."""
    [*escaped] = odd.ESCAPED
    for route in routes():
        path = route.path(fuzzer.world.real(route, session.rng))
        send(fuzzer, path, cookies=f"sessionid={escaped[0]}")
    addresses = cycle(odd.ADDRESSES)
    for cookie in odd.cookies():
        for _ in range(3):
            send(fuzzer, next(addresses), cookies=cookie)


def test_odd_headers(fuzzer: Fuzzer) -> None:
    addresses = cycle(odd.ADDRESSES)
    for name, value in odd.parsed():
        for path in (*odd.READING, next(addresses)):
            send(fuzzer, path, headers={name: value})
    for name, value in odd.headers():
        send(fuzzer, next(addresses), headers={name: value})


def test_odd_encodings(fuzzer: Fuzzer) -> None:
    """Text in an encoding other than UTF-8 may turn into what nobody can store."""
    texts = (b"+2AA-", b"\\ud800", b"\\x00", b"%2B2AA-", b"%5Cud800", b"\xff\xfe\x00\xd8")
    paths = cycle(("/products/", "/accounts/login/", "/admin/auth/user/"))
    for charset in odd.CHARSETS:
        for text in texts:
            for kind in ("text/plain", "application/json", hostile.FORM, "multipart/form-data"):
                boundary = f"; boundary={hostile.BOUNDARY}" if kind.startswith("multi") else ""
                send(
                    fuzzer,
                    next(paths),
                    query=b"q=" + text + b"&next=" + text,
                    body=hostile.multipart([("username", text), ("password", text)]),
                    content_type=f"{kind}{boundary}; charset={charset}",
                )


def test_odd_parts_of_multipart_bodies(fuzzer: Fuzzer) -> None:
    paths = cycle(("/accounts/login/", "/cart/add/", "/metrics/alerts/", "/admin/auth/user/add/"))
    kinds = [kind for kind in hostile.CONTENT_TYPES if "boundary=fuzz" in kind]
    for part in odd.PARTS:
        body = b"--fuzz\r\n" + part + b"\r\n--fuzz--\r\n"
        for cut in (body, body[: len(body) // 2], body[:-1]):
            send(fuzzer, next(paths), body=cut, content_type=kinds[0])


def test_odd_values_in_queries_and_paths(fuzzer: Fuzzer) -> None:
    names = ("q", "next", "page", "category", "range", "days", "seen", "format", "o", "e", "term")
    complete = (
        "/admin/autocomplete/?app_label=accounts&model_name=userprofile&field_name=user&term="
    )
    path, _, query = complete.partition("?")
    for value in odd.ODD[:16]:
        quoted = quote_from_bytes(value.encode("latin-1")).encode()
        send(fuzzer, path, query=query.encode() + quoted)
        for address in (
            "/products/",
            "/accounts/login/",
            "/metrics/dashboard/",
            "/admin/auth/user/",
        ):
            send(fuzzer, address, query=b"&".join(b"%s=%s" % (n.encode(), quoted) for n in names))
        for route in routes():
            places = dict.fromkeys(route.parameters, value)
            if places and route.label != "admin":
                send(fuzzer, route.path(places).encode("latin-1").decode("latin-1"))


HEADER = st.sampled_from(sorted({*odd.PARSED, *hostile.HEADERS} - {"wsgi.url_scheme"}))
PLACE = st.sampled_from(odd.ADDRESSES)
BYTES = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([*odd.ODD, *odd.ESCAPED]), max_size=3).map(
        lambda parts: "".join(parts).encode("latin-1")
    ),
)


def test_random_bytes_anywhere(fuzzer: Fuzzer) -> None:
    @hypothesis_settings(max_examples=300, database=None)
    @given(PLACE, st.dictionaries(HEADER, BYTES, max_size=4), BYTES, BYTES, BYTES, st.booleans())
    def check(
        path: str, headers: dict[str, bytes], cookie: bytes, query: bytes, body: bytes, form: bool
    ) -> None:
        before = len(fuzzer.tally.problems)
        given_body = {"body": body, "content_type": hostile.FORM} if form else {}
        send(
            fuzzer,
            path,
            headers={name: value.decode("latin-1") for name, value in headers.items()},
            cookies=f"sessionid={cookie.decode('latin-1')}",
            query=query,
            **given_body,
        )
        assert fuzzer.tally.problems[before:] == []

    check()


def test_a_content_type_that_django_cannot_parse_is_ignored() -> None:
    for value in ("a/b; c*=nonsense''%61", "a/b; charset*=utf-8''%00", "a/b; charset=\x00"):
        environ = {"REQUEST_METHOD": "GET", "CONTENT_TYPE": value, "wsgi.input": io.BytesIO()}
        with pytest.raises(ValueError, match=r"."):
            WSGIRequest(dict(environ))  # before any middleware runs
        assert Request(environ).content_type == ""


@pytest.mark.django_db(transaction=True)
def test_the_server_uses_these_requests() -> None:
    wsgi = importlib.import_module("config.wsgi")  # it reads the database
    assert wsgi.application.request_class is Request
