"""A session that ends before a form is sent: what was typed is kept while logging in again."""

import json
import logging
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from accounts.models import Session, UserProfile
from accounts.sessions import SessionStore
from orders.models import Sale
from retail.web import kept_forms
from tests.fuzz.forms import forms_of
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct-horse-battery"
TYPED = {"delivery_name": "Ann Other", "delivery_address": "7 New Street\r\nNewtown"}
WARNING = "Your session has ended"


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def shopper(buyer: User, client: Client) -> Client:
    client.force_login(buyer)
    order_for(buyer, make_product("Lamp"), 2)
    return client


def fields(page: str) -> dict[str, str]:
    """Return the checkout form's hidden fields, and what the buyer types."""
    form = page.partition('id="checkout"')[2].partition("</form>")[0]
    tags = re.findall(r'<input type="hidden"[^>]*>', form)
    hidden = {}
    for tag in tags:
        (name,), value = re.findall(r'name="([^"]*)"', tag), re.findall(r'value="([^"]*)"', tag)
        hidden[name] = value[0] if value else ""
    return {**hidden, **TYPED, "payment_token": "tok_good"}


def log_in(client: Client, username: str = "buyer") -> Any:
    form = {"username": username, "password": PASSWORD, "next": "/checkout/"}
    return client.post("/accounts/login/", form, follow=True)


def expire(shopper: Client) -> dict[str, str]:
    """Open the checkout, delete the session from the database, and return the filled-in form."""
    data = fields(shopper.get("/checkout/").content.decode())
    assert Session.objects.all().delete()[0] == 1
    return data


def test_the_address_typed_before_the_session_ended_is_filled_in_after_the_log_in(
    shopper: Client, scripted_gateway: ScriptedGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = expire(shopper)
    answer = shopper.post("/checkout/", data, follow=True)
    assert answer.redirect_chain == [("/accounts/login/?next=/checkout/", 302)]
    page = answer.content.decode()
    assert WARNING in page
    assert "Ann Other" not in page
    answer = log_in(shopper)
    assert answer.redirect_chain == [("/checkout/", 302)]
    shown = answer.context["form"]
    assert shown["delivery_name"].value() == TYPED["delivery_name"]
    assert shown["delivery_address"].value() == TYPED["delivery_address"]
    assert "Place order and pay" in answer.content.decode()
    again = fields(answer.content.decode())
    assert shopper.post("/checkout/", again).status_code == 302
    assert Sale.objects.get().delivery_name == "Ann Other"
    assert kept_forms.SESSION_KEY not in shopper.session
    logged = json.dumps([vars(record) for record in caplog.records], default=repr)
    assert "http.request" in logged
    assert "Ann Other" not in logged
    assert "New Street" not in logged


def test_another_customer_of_the_same_browser_does_not_see_it(shopper: Client) -> None:
    data = expire(shopper)
    shopper.post("/checkout/", data)
    order_for(make_buyer("other"), make_product("Vase"))
    page = log_in(shopper, "other").content.decode()
    assert "Place order and pay" in page
    assert "Ann Other" not in page


def test_it_is_shown_on_its_own_page_only_and_for_an_hour(
    shopper: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopper.post("/checkout/", expire(shopper))
    log_in(shopper)
    assert "Ann Other" not in shopper.get("/accounts/profile/").content.decode()
    now = time.time()
    for offset, is_shown in ((3590, True), (-3590, True), (3610, False), (0, False)):
        monkeypatch.setattr("retail.web.kept_forms.time.time", lambda at=now + offset: at)
        assert ("Ann Other" in shopper.get("/checkout/").content.decode()) is is_shown


@pytest.mark.parametrize(
    ("seconds", "is_kept"), [(3600, True), (3601, False), (-3600, True), (-3601, False)]
)
def test_it_is_kept_for_exactly_an_hour_even_if_the_clock_was_wrong(
    monkeypatch: pytest.MonkeyPatch, seconds: int, is_kept: bool
) -> None:
    request: Any = RequestFactory().post("/checkout/", {"delivery_name": "Ann"})
    request.session = {}
    for at in (50_000, 50_000 + seconds):
        monkeypatch.setattr("retail.web.kept_forms.time.time", lambda now=at: now)
        if not request.session:
            kept_forms.keep(request, ["delivery_name"])
    assert kept_forms.kept(request) == ({"delivery_name": "Ann"} if is_kept else {})
    assert bool(request.session) is is_kept


def test_a_form_with_the_same_fields_on_another_page_does_not_get_it() -> None:
    request: Any = RequestFactory().post("/checkout/", {"name": "Ann", "shown_to": "x" * 5000})
    request.session = {}
    kept_forms.keep(request, ["name"])
    assert request.session["kept_form"]["shown_to"] == "x" * 1000
    request.session["kept_form"]["shown_to"] = ""
    assert kept_forms.kept(request) == {"name": "Ann"}
    request.path = "/accounts/profile/"
    assert kept_forms.kept(request) == {}


def test_a_strangers_form_is_kept_in_part_only(client: Client) -> None:
    data = dict.fromkeys(("delivery_name", "payment_token", "password", "other"), "x" * 5000)
    assert client.post("/checkout/", data).status_code == 302
    stored = Session.objects.get()
    kept = SessionStore().decode(stored.session_data)[kept_forms.SESSION_KEY]
    assert kept["fields"] == {"delivery_name": "x" * 1000, "email": "", "delivery_address": ""}


def test_a_visitor_who_sent_no_such_form_is_not_warned(client: Client) -> None:
    for answer in (client.get("/checkout/", follow=True), client.post("/orders/", follow=True)):
        assert answer.redirect_chain[0][0].startswith("/accounts/login/?next=/")
        assert WARNING not in answer.content.decode()
    assert Session.objects.count() == 0


@pytest.mark.parametrize("stored", [None, "Bea Buyer"])
def test_the_profile_form_is_kept_too(shopper: Client, buyer: User, stored: str | None) -> None:
    path = "/accounts/profile/"
    if stored:
        UserProfile.objects.create(user=buyer, full_name=stored)
    shopper.get("/accounts/profile/")
    Session.objects.all().delete()
    data = {"full_name": "Ann Other", "phone": "1234", "address": "7 New Street"}
    answer = shopper.post("/accounts/profile/", data)
    assert answer.headers["Location"] == "/accounts/login/?next=/accounts/profile/"
    form = {"username": "buyer", "password": PASSWORD, "next": "/accounts/profile/"}
    page = shopper.post("/accounts/login/", form, follow=True).content.decode()
    assert all(value in page for value in data.values())
    assert UserProfile.objects.count() == (1 if stored else 0)
    [shown] = [one for one in forms_of(page, "buyer", path) if one.action == path]
    # As a browser sends it, with the values that the row had.
    sent = {each.name: list(each.values) for each in shown.inputs}
    assert shopper.post(path, sent).status_code == 302
    profiles = UserProfile.objects.values_list("full_name", "phone", "address")
    assert profiles.get() == tuple(data.values())
    assert kept_forms.SESSION_KEY not in shopper.session


def test_a_refused_profile_creates_no_row(shopper: Client) -> None:
    assert shopper.post("/accounts/profile/", {"phone": "1" * 31}).status_code == 400
    assert not UserProfile.objects.exists()
