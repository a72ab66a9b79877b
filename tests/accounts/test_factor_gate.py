"""With a second factor required or set up, a password alone opens no page for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.accounts.factors import (
    BASE,
    CHECK,
    PASSWORD,
    SET_UP,
    Clock,
    enrol,
    is_in,
    log_in,
    make_staff,
)
from tests.fuzz.routes import routes
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
# What answers before anybody is asked who they are; each has its own token or no secrets.
BEFORE = {"metrics", "healthz", "readyz"}
WEBHOOK = "POST /metrics/alerts/ 401"
LOG_OUT = {"accounts/logout/", "admin/logout/"}
# What may be opened while the factor is missing: to give it, or to set one up.
OPEN = {
    CHECK: {CHECK, f"{CHECK}passkey/", f"{CHECK}passkey/question/"},
    SET_UP: {SET_UP, f"{BASE}passkeys/add/", f"{BASE}passkeys/add/question/"},
}


def paths() -> list[str]:
    """Return a path of each route but those to log out."""
    product, user = make_product(), User.objects.order_by("pk")[0]
    known = {"slug": product.slug, "app_label": "auth"}
    chosen = []
    for route in routes():
        if route.template not in BEFORE | LOG_OUT:
            values = {name: known.get(name, str(user.pk)) for name in route.parameters}
            chosen.append(route.path(values))
    assert len(chosen) > 100
    assert {"/admin/", "/metrics/dashboard/", "/metrics/api/", "/admin/login/"} <= set(chosen)
    return chosen


def opened(client: Client, missing: str, methods: tuple[str, ...] = ("GET", "POST")) -> list[str]:
    """Return each path that does not lead to the missing page, besides those that are open."""
    assert OPEN[missing] < set(paths())
    return [
        f"{method} {path} {answer.status_code}"
        for path in paths()
        if path not in OPEN[missing]
        for method in methods
        if (answer := client.generic(method, path)).status_code != 302
        or answer["Location"].partition("?")[0] != missing
    ]


@pytest.mark.parametrize("page", ["/accounts/login/", "/admin/login/"])
def test_a_password_alone_opens_only_the_page_to_set_it_up(page: str, settings: Settings) -> None:
    settings.STAFF_MFA = True
    client = log_in(make_staff(), page)
    assert opened(client, SET_UP) == [WEBHOOK]
    assert client.get(SET_UP).status_code == 200
    assert client.post("/admin/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("page", ["/accounts/login/", "/admin/login/"])
def test_a_password_alone_opens_only_the_page_that_asks(
    page: str, required: bool, clock: Clock, settings: Settings
) -> None:
    settings.STAFF_MFA = required
    stella = make_staff()
    enrol(stella, clock)
    client = log_in(stella, page)
    assert opened(client, CHECK) == [WEBHOOK]
    assert client.get(CHECK).status_code == 200
    assert client.post("/accounts/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_the_page_that_was_wanted_is_shown_after_the_check(
    clock: Clock, settings: Settings
) -> None:
    settings.STAFF_MFA = True
    stella = make_staff()
    enrol(stella, clock)
    client = log_in(stella)
    asked = client.get("/metrics/dashboard/?range=24h")["Location"]
    assert asked == f"{CHECK}?next=/metrics/dashboard/%3Frange%3D24h"
    wanted = "/metrics/dashboard/?range=24h"
    assert f'value="{wanted}"' in client.get(asked).content.decode()
    answer = client.post(CHECK, {"code": clock.code(), "next": wanted})
    assert answer["Location"] == wanted
    assert is_in(client)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "javascript:1"])
def test_the_check_leads_to_no_other_site(elsewhere: str, clock: Clock) -> None:
    stella = make_staff()
    enrol(stella, clock)
    answer = log_in(stella).post(CHECK, {"code": clock.code(), "next": elsewhere})
    assert answer["Location"] == "/"


def test_a_page_that_refreshes_itself_is_reloaded(settings: Settings) -> None:
    settings.STAFF_MFA = True
    answer = log_in(make_staff()).get("/metrics/dashboard/news/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


def test_who_becomes_staff_while_logged_in_is_stopped_too(settings: Settings) -> None:
    settings.STAFF_MFA = True
    client = log_in(make_buyer("bea"))
    assert client.get("/accounts/profile/").status_code == 200
    User.objects.update(is_staff=True, is_superuser=True)
    assert not is_in(client)


def test_customers_and_strangers_are_not_stopped(settings: Settings) -> None:
    settings.STAFF_MFA = True
    assert log_in(make_buyer("bea")).get("/accounts/profile/").status_code == 200
    assert Client().get("/").status_code == 200
    assert Client().get("/admin/login/").status_code == 200


def test_logging_in_again_asks_again(clock: Clock) -> None:
    stella = make_staff()
    enrol(stella, clock)
    client = log_in(stella)
    client.post(CHECK, {"code": clock.code()})
    assert is_in(client)
    client.post("/accounts/logout/")
    client.post("/admin/login/", {"username": "stella", "password": PASSWORD})
    assert not is_in(client)


def test_an_earlier_check_is_worth_nothing_once_the_factor_is_gone(
    clock: Clock, settings: Settings
) -> None:
    settings.STAFF_MFA = True
    stella = make_staff()
    enrol(stella, clock)
    client = log_in(stella)
    client.post(CHECK, {"code": clock.code()})
    assert is_in(client)
    TOTPDevice.objects.all().delete()
    client.post("/admin/login/", {"username": "stella", "password": PASSWORD})
    assert client.get("/admin/")["Location"].startswith(SET_UP)


def test_the_gate_asks_the_database_nothing(clock: Clock, settings: Settings) -> None:
    settings.STAFF_MFA = True
    bea, stella = make_buyer("bea"), make_staff()
    enrol(stella, clock)
    client, verified = log_in(bea), log_in(stella)
    verified.post(CHECK, {"code": clock.code()})
    for who in (client, verified):
        who.get("/cart/")
        with CaptureQueriesContext(connection) as captured:
            who.get("/cart/")
        assert [one["sql"] for one in captured if "otp" in one["sql"]] == []
        assert sum("accounts_session" in one["sql"] for one in captured) <= 1


@pytest.mark.parametrize("odd", ["-", "a:b", "admin", "products:home"])
def test_the_check_leads_on_by_address_not_by_name(odd: str) -> None:
    client = log_in(make_buyer())  # who is not asked
    assert client.get(CHECK, {"next": odd}).status_code == 302
