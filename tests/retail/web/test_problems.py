"""Error pages."""

import logging
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.views.decorators.http import require_POST
from pytest_django import Settings

from config import urls
from retail.web.problems import PROBLEMS
from tests.support import make_product

pytestmark = pytest.mark.django_db
HTML, JSON = "text/html", "application/json"


@pytest.fixture
def visitor(client: Client) -> Client:
    client.raise_request_exception = False
    return client


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages of ERROR lines, each of which must have its traceback."""
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert all(record.exc_info for record in records)
    return [record.getMessage() for record in records]


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret of the code")


@pytest.fixture(autouse=True)
def _pages(settings: Settings) -> Iterator[None]:
    urls.urlpatterns += [
        path("broken/", broken),
        path("posted/", require_POST(lambda _: HttpResponse())),
    ]
    settings.ROOT_URLCONF = "config.urls"
    settings.TRUSTED_PROXIES = 1
    yield
    del urls.urlpatterns[-2:]


@pytest.mark.parametrize(
    ("address", "status"), [("/nowhere/", 404), ("/broken/", 500), ("/posted/", 405)]
)
@pytest.mark.parametrize("accept", [HTML, JSON])
def test_every_error_page_has_its_message_and_the_request_id(
    visitor: Client, address: str, status: int, accept: str
) -> None:
    answer = visitor.get(address, headers={"Accept": accept, "X-Request-ID": "look-me-up"})
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] == "look-me-up"
    title, message = PROBLEMS[status]
    if accept == JSON:
        assert answer.json() == {
            "error": {
                "status": status,
                "title": title,
                "message": message,
                "reference": "look-me-up",
            }
        }
    else:
        page = answer.content.decode()
        assert f"<h1>{title}</h1>" in page
        assert "<code>look-me-up</code>" in page
    text = answer.content.decode()
    assert not any(leak in text for leak in ("Traceback", "RuntimeError", "a secret", "/app/"))


def test_a_405_response_has_the_allow_header(visitor: Client) -> None:
    assert visitor.get("/posted/").headers["Allow"] == "POST"


def test_the_traceback_is_logged_once_with_the_request_id(
    visitor: Client, caplog: pytest.LogCaptureFixture
) -> None:
    visitor.get("/broken/")
    assert errors(caplog) == ["event=http.error"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("debug", [False, True])
def test_an_unavailable_database_is_a_503_without_traceback_even_with_debug(
    visitor: Client,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
    debug: bool,
) -> None:
    def away(*_: object) -> None:
        raise error("server closed the connection unexpectedly")

    settings.DEBUG = debug
    monkeypatch.setattr("products.selectors.flash_products", away)
    answer = visitor.get("/")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.headers["Retry-After"] == "5"
    assert PROBLEMS[503][0] in answer.content.decode()
    assert "server closed" not in answer.content.decode()
    assert errors(caplog) == ["event=database.unavailable"]


def test_a_database_error_in_middleware_is_a_503(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("no route to host")

    visitor.cookies["sessionid"] = "a" * 32
    monkeypatch.setattr("accounts.sessions.SessionStore.load", away)
    answer = visitor.get("/orders/")
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_debug_shows_the_traceback(visitor: Client, settings: Settings) -> None:
    settings.DEBUG = True
    assert "a secret of the code" in visitor.get("/broken/").content.decode()


def test_a_form_without_csrf_token_is_refused(visitor: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post("/accounts/login/", {"username": "a", "password": "b"})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "This form has expired" in answer.content.decode()


def test_a_body_that_is_too_large_is_not_read(visitor: Client) -> None:
    body = b"username=" + b"x" * (10 * 1024 * 1024)
    answer = visitor.post(
        "/accounts/login/", body, content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert PROBLEMS[413][0] in answer.content.decode()


REFERENCE = {"X-Request-ID": "look-me-up"}


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/accounts/login/", {"username": "nobody", "password": "x"}),
        ("/accounts/register/", {"username": "no spaces, please"}),
        ("/accounts/password-reset/", {"email": "nothing"}),
        ("/cart/add/", {"product_id": "x"}),
    ],
)
def test_a_refused_form_shows_the_request_id(
    visitor: Client, address: str, form: dict[str, str]
) -> None:
    page = visitor.post(address, form, headers=REFERENCE).content.decode()
    assert "Reference <code>look-me-up</code>" in page


def test_a_link_that_no_longer_works_shows_the_request_id(visitor: Client) -> None:
    page = visitor.get("/accounts/password-reset/MQ/a-b/", headers=REFERENCE).content.decode()
    assert "This link no longer works" in page
    assert "Reference <code>look-me-up</code>" in page


def test_a_problem_shown_on_the_next_page_has_the_id_of_its_own_request(visitor: Client) -> None:
    gone = make_product("Gone", stock=0)
    visitor.post("/cart/add/", {"product_id": gone.pk, "quantity": 1}, headers=REFERENCE)
    page = visitor.get("/cart/").content.decode()
    assert "Gone is sold out." in page
    assert "Reference <code>look-me-up</code>" in page


def test_a_page_without_a_problem_shows_no_reference(visitor: Client) -> None:
    for address in ("/", "/accounts/login/", "/accounts/register/", "/cart/"):
        assert "Reference" not in visitor.get(address).content.decode()


def test_a_refused_form_of_the_admin_shows_the_request_id(admin_client: Client) -> None:
    address = "/admin/products/category/add/"
    page = admin_client.post(address, {"name": ""}, headers=REFERENCE).content.decode()
    assert "Please correct the errors below." in page
    assert "Reference <code>look-me-up</code>" in page
    assert "Reference" not in admin_client.get(address).content.decode()


def test_an_unknown_host_is_refused(visitor: Client) -> None:
    answer = visitor.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert PROBLEMS[400][0] in answer.content.decode()
    assert "evil" not in answer.content.decode()
