"""Forms opened before a log-in in another tab: confirmed once, and never for another site."""

import html
import io
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client, RequestFactory

from cart.models import CartItem
from orders.models import Sale
from products.models import Product
from retail.web.forms_before_login import fields_to_confirm, remember_token
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct-horse-battery"
EXPIRED = "This form has expired"
ORIGIN = {"Origin": "http://testserver"}


@pytest.fixture
def browser() -> Client:
    """Return a client that Django's CSRF check applies to."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def lamp() -> Product:
    make_buyer()
    return make_product("Lamp")


def hidden(page: str, action: str) -> dict[str, str]:
    """Return the hidden fields of the form with this action."""
    form = page.partition(f'action="{action}"')[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in found}


def open_product(browser: Client, lamp: Product) -> dict[str, str]:
    page = browser.get(f"/products/{lamp.slug}/").content.decode()
    return {**hidden(page, "/cart/add/"), "quantity": "3"}


def log_in(browser: Client) -> None:
    """Log in, as in another tab."""
    page = browser.get("/accounts/login/").content.decode()
    form = {**hidden(page, "/accounts/login/"), "username": "buyer", "password": PASSWORD}
    assert browser.post("/accounts/login/", form).status_code == 302


def send(browser: Client, form: dict[str, str], **headers: str) -> Any:
    return browser.post("/cart/add/", form, headers=headers)


def units() -> int:
    return sum(CartItem.objects.values_list("quantity", flat=True))


def refused(answer: Any) -> bool:
    """Whether the form was thrown away."""
    page = answer.content.decode()
    assert answer.status_code == 403
    assert answer.headers["X-Request-ID"] in page
    assert (EXPIRED in page) is ("Please confirm" not in page)
    return EXPIRED in page


@pytest.mark.parametrize("headers", [{}, ORIGIN])
def test_a_form_from_before_the_log_in_is_executed_after_one_confirmation(
    browser: Client, lamp: Product, headers: dict[str, str]
) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    answer = send(browser, form, **headers)
    assert not refused(answer)
    assert units() == 0
    page = answer.content.decode()
    assert "You are logged in as <strong>buyer</strong>." in page
    confirmed = hidden(page, "/cart/add/")
    assert {**form, "csrfmiddlewaretoken": ""} == {**confirmed, "csrfmiddlewaretoken": ""}
    assert send(browser, confirmed, **headers).status_code == 302
    assert units() == 3


def test_an_order_is_placed_once_however_often_it_is_confirmed(
    browser: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    log_in(browser)
    assert browser.post("/cart/", {}).status_code == 403  # the checks are on
    buyer_cart = open_product(browser, lamp)
    assert send(browser, buyer_cart).status_code == 302
    page = browser.get("/checkout/").content.decode()
    typed = {"delivery_name": 'Bea "B"', "delivery_address": "1 <i>Street</i>\r\nTown"}
    form = {**hidden(page, "/checkout/"), **typed, "payment_token": "tok_good"}
    browser.post("/accounts/logout/", hidden(page, "/accounts/logout/"))
    log_in(browser)
    answer = browser.post("/checkout/", form)
    assert not refused(answer)
    assert Sale.objects.count() == 0
    confirmed = hidden(answer.content.decode(), "/checkout/")
    for _ in range(2):
        assert browser.post("/checkout/", confirmed).status_code == 302
    sale = Sale.objects.get()
    assert (sale.delivery_name, sale.delivery_address) == tuple(typed.values())


def test_another_sites_form_is_never_confirmed(browser: Client, lamp: Product) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    invented = {"product_id": str(lamp.pk), "quantity": "3"}
    assert refused(send(browser, invented))
    assert refused(send(browser, {**invented, "csrfmiddlewaretoken": "x" * 64}))
    assert refused(send(browser, {**invented, "csrfmiddlewaretoken": ""}))
    assert refused(send(browser, invented, **{"X-CSRFToken": form["csrfmiddlewaretoken"]}))
    # Even a page that knows the earlier token is of another origin.
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        assert refused(send(browser, form, Origin=origin))
    stranger = Client(enforce_csrf_checks=True)  # another browser, with the token of this one
    log_in(stranger)
    assert refused(send(stranger, form))
    assert units() == 0


def test_a_form_is_not_confirmed_without_a_log_in(browser: Client, lamp: Product) -> None:
    form = open_product(browser, lamp)
    browser.cookies.clear()
    browser.get("/accounts/login/")
    assert refused(send(browser, form))


def test_a_form_with_a_password_is_not_shown_again(browser: Client, lamp: Product) -> None:
    page = browser.get("/accounts/login/").content.decode()
    form = {**hidden(page, "/accounts/login/"), "username": "buyer", "password": PASSWORD}
    log_in(browser)
    answer = browser.post("/accounts/login/", form)
    assert refused(answer)
    assert PASSWORD not in answer.content.decode()


def test_over_https_the_referer_is_checked_as_ever(browser: Client, lamp: Product) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    evil = {"Referer": "https://evil.example/"}
    own = {"Referer": "https://testserver/products/"}
    assert refused(browser.post("/cart/add/", form, headers=evil, secure=True))
    assert refused(browser.post("/cart/add/", form, secure=True))
    assert not refused(browser.post("/cart/add/", form, headers=own, secure=True))
    assert units() == 0


def test_a_program_gets_json(browser: Client, lamp: Product) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    answer = send(browser, form, Accept="application/json")
    assert answer.status_code == 403
    assert answer.json()["error"]["title"] == EXPIRED


def test_a_buyer_keeps_the_cart_of_before_the_log_in(browser: Client, lamp: Product) -> None:
    order_for(make_buyer("else"), lamp)
    before = open_product(browser, lamp)
    assert send(browser, before).status_code == 302
    log_in(browser)
    answer = send(browser, before)
    send(browser, hidden(answer.content.decode(), "/cart/add/"))
    assert CartItem.objects.get(cart__user__username="buyer").quantity == 6


def test_a_form_with_a_file_is_not_confirmed(browser: Client, lamp: Product) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    answer = browser.post("/cart/add/", {**form, "picture": SimpleUploadedFile("a.png", b"a")})
    assert answer.status_code == 400  # no form has files
    assert not CartItem.objects.exists()


def test_a_form_is_not_confirmed_for_an_account_that_has_been_closed(
    browser: Client, lamp: Product
) -> None:
    form = open_product(browser, lamp)
    log_in(browser)
    User.objects.update(is_active=False)
    assert refused(send(browser, form))


def test_the_newest_three_tokens_are_remembered_if_they_can_be_tokens() -> None:
    session: dict[str, Any] = {}
    for token in ("a" * 64, "b" * 32, "c" * 65, "", "d" * 64, "e" * 64):
        request: Any = RequestFactory().get("/")
        request.COOKIES[settings.CSRF_COOKIE_NAME] = token
        request.session = session
        remember_token(request)
    remember_token(without_cookie := RequestFactory().get("/"))
    assert not hasattr(without_cookie, "session")
    assert session == {"csrf_before": ["e" * 64, "d" * 64, "b" * 32]}


def test_a_request_keeps_its_own_cookies_when_earlier_tokens_are_tried(
    browser: Client, lamp: Product
) -> None:
    form = open_product(browser, lamp)
    request: Any = RequestFactory().post("/cart/add/", form)
    request.user = User.objects.get()
    request.session = {"csrf_before": ["a" * 64, browser.cookies["csrftoken"].value, "b" * 64]}
    request.COOKIES["csrftoken"] = "now"
    assert fields_to_confirm(request) == [
        (name, value) for name, value in form.items() if name != "csrfmiddlewaretoken"
    ]
    assert request.COOKIES == {"csrftoken": "now"}


class _Gone(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise OSError("the client has gone")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (_Gone(), "application/x-www-form-urlencoded"),
        (io.BytesIO(b"a=1&" * 2000), "application/x-www-form-urlencoded"),
        (io.BytesIO(b"--a--"), "multipart/form-data; boundary="),
    ],
    ids=["the client has gone", "too many fields", "no boundary"],
)
def test_a_form_that_cannot_be_read_is_not_confirmed(body: io.BytesIO, kind: str) -> None:
    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": kind, "CONTENT_LENGTH": "10000"}
    assert fields_to_confirm(WSGIRequest({**environ, "wsgi.input": body})) is None
