"""Guessing passwords is slow, and locks nobody out who has the right one and a known browser."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.hashers import (
    PBKDF2PasswordHasher,
    check_password,
    get_hashers,
    identify_hasher,
    make_password,
)
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.test import Client, RequestFactory
from django.utils.http import urlsafe_base64_encode

from accounts import guessing, hashers
from accounts.known_browsers import COOKIE, MAX_AGE
from tests.support import make_buyer, moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"
LOGIN = "/accounts/login/"
THROTTLED = 'retail_throttled_requests_total{scope="login"}'
HERE, ELSEWHERE = "198.51.100.1", "198.51.100.2"


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail.throttling.time.time", lambda: 3000.0)


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


def log_in(
    password: str,
    client: Client | None = None,
    *,
    name: str = "bea",
    at: str = HERE,
    page: str = LOGIN,
) -> int:
    form = {"username": name, "password": password}
    return (client or Client()).post(page, form, REMOTE_ADDR=at).status_code


def attack(bea: User, settings: Settings) -> None:
    """Guess from everywhere, until strangers may guess no more."""
    guesses = range(settings.LOGIN_NAME_FAILURE_LIMIT)
    assert {log_in("wrong", at=f"203.0.113.{number}") for number in guesses} == {400}
    assert log_in("wrong", at=ELSEWHERE) == 429


@pytest.mark.parametrize(("page", "shown_again"), [(LOGIN, 400), ("/admin/login/", 200)])
def test_a_client_may_guess_a_few_times(bea: User, page: str, shown_again: int) -> None:
    assert [log_in("wrong", page=page) for _ in range(5)] == [shown_again] * 5
    with moved() as changes:
        form = {"username": "bea", "password": PASSWORD}
        answer = Client().post(page, form, REMOTE_ADDR=HERE)
    assert changes[THROTTLED] == 1
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "300")
    assert "Too many failed log-in attempts" in answer.content.decode()
    assert "Try again in 5 minutes, or reset your password." in answer.content.decode()


def test_others_are_not_locked_out_by_it(bea: User) -> None:
    make_buyer("other")
    assert [log_in("wrong") for _ in range(6)][-1] == 429
    assert log_in(PASSWORD, at=ELSEWHERE) == 302
    assert log_in(PASSWORD, name="other") == 302


def test_clients_are_told_apart_behind_a_proxy(bea: User, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    form = {"username": "bea", "password": "wrong"}
    hostile = {"X-Forwarded-For": f"{ELSEWHERE}, {HERE}"}
    statuses = [Client().post(LOGIN, form, headers=hostile).status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]
    form["password"] = PASSWORD
    headers = {"X-Forwarded-For": ELSEWHERE}
    assert Client().post(LOGIN, form, headers=headers).status_code == 302


def test_without_a_proxy_a_forged_header_is_no_other_client(bea: User) -> None:
    form = {"username": "bea", "password": "wrong"}
    statuses = [
        Client().post(LOGIN, form, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(6)
    ]
    assert statuses == [400] * 5 + [429]


def test_the_addresses_of_an_ipv6_network_are_one_client(bea: User) -> None:
    statuses = [log_in("wrong", at=f"2001:db8::{n}:1") for n in range(1, 7)]
    assert statuses == [400] * 5 + [429]


def test_a_client_may_not_try_a_password_on_any_number_of_names(
    bea: User, settings: Settings
) -> None:
    names = range(settings.LOGIN_CLIENT_FAILURE_LIMIT)
    assert {log_in("spring2026", name=f"user{number}") for number in names} == {400}
    assert log_in(PASSWORD) == 429
    assert log_in(PASSWORD, at=ELSEWHERE) == 302


def test_a_family_behind_one_address_logs_in(bea: User, settings: Settings) -> None:
    settings.LOGIN_CLIENT_FAILURE_LIMIT = 1
    assert [log_in(PASSWORD) for _ in range(3)] == [302] * 3


def test_a_known_browser_with_the_right_password_is_never_locked_out(
    bea: User, settings: Settings
) -> None:
    browser = Client()
    assert log_in(PASSWORD, browser) == 302
    browser.post("/accounts/logout/")
    attack(bea, settings)
    assert log_in(PASSWORD) == 429
    assert log_in(PASSWORD, browser) == 302
    browser.post("/accounts/logout/")
    settings.LOGIN_CLIENT_FAILURE_LIMIT = 0  # and who sits next door has used up the address
    assert log_in(PASSWORD, browser) == 302


def test_a_known_browser_may_guess_no_more_than_others(bea: User, settings: Settings) -> None:
    browser = Client()
    log_in(PASSWORD, browser)
    browser.post("/accounts/logout/")
    attack(bea, settings)
    with moved() as changes:
        assert [log_in("wrong", browser) for _ in range(6)] == [400] * 5 + [429]
    assert changes[THROTTLED] == 1


def test_a_browser_is_known_for_its_own_users_only(bea: User, settings: Settings) -> None:
    make_buyer("mallory")
    browser = Client()
    log_in(PASSWORD, browser, name="mallory")
    browser.post("/accounts/logout/")
    attack(bea, settings)
    assert log_in(PASSWORD, browser) == 429


def test_a_browser_is_known_for_its_last_three_users(settings: Settings) -> None:
    browser = Client()
    for name in "abcd":
        make_buyer(name)
        assert log_in(PASSWORD, browser, name=name) == 302
        browser.post("/accounts/logout/")
    settings.LOGIN_NAME_FAILURE_LIMIT = 0
    assert [log_in(PASSWORD, browser, name="a")] == [429]
    for name in "bcd":
        assert log_in(PASSWORD, browser, name=name) == 302
        browser.post("/accounts/logout/")


def test_another_log_in_makes_no_other_user_unknown(settings: Settings) -> None:
    browser = Client()
    for name in ("ada", "bea"):
        make_buyer(name)
    for name in ("ada", "bea", "bea", "bea"):
        assert log_in(PASSWORD, browser, name=name) == 302
        browser.post("/accounts/logout/")
    settings.LOGIN_NAME_FAILURE_LIMIT = 0
    assert log_in(PASSWORD, browser, name="ada") == 302


@pytest.mark.parametrize(("days", "status"), [(179, 302), (181, 429)])
def test_a_browser_is_known_for_half_a_year(
    bea: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, days: int, status: int
) -> None:
    browser = Client()
    log_in(PASSWORD, browser)
    cookie = browser.cookies[COOKIE].value
    settings.LOGIN_NAME_FAILURE_LIMIT = 0
    later = time.time() + days * 24 * 3600
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    copied = Client()
    copied.cookies[COOKIE] = cookie
    assert log_in(PASSWORD, copied) == status


@pytest.mark.parametrize("cookie", ["", ".", "x", "a:b:c", "." * 4000, "\xff", "a:b:c.d:e:f"])
def test_a_forged_cookie_is_no_known_browser(bea: User, settings: Settings, cookie: str) -> None:
    settings.LOGIN_NAME_FAILURE_LIMIT = 0
    browser = Client()
    browser.cookies[COOKIE] = cookie
    assert log_in(PASSWORD, browser) == 429


def test_the_cookie_is_hidden_from_scripts_and_names_nobody(settings: Settings) -> None:
    settings.SESSION_COOKIE_SECURE = True
    name = make_buyer("not-in-base64-by-chance").username
    browser = Client()
    log_in(PASSWORD, browser, name=name)
    cookie = browser.cookies[COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    assert cookie["max-age"] == MAX_AGE
    assert name not in cookie.value
    assert COOKIE not in Client().get("/").cookies


def test_a_new_password_makes_the_browser_known(bea: User, settings: Settings) -> None:
    uid = urlsafe_base64_encode(str(bea.pk).encode())
    browser = Client()
    token = default_token_generator.make_token(bea)
    page = browser.get(f"/accounts/password-reset/{uid}/{token}/", follow=True)
    new = f"new-{secrets.token_hex(8)}"
    form = {"new_password1": new, "new_password2": new}
    assert browser.post(page.redirect_chain[-1][0], form).status_code == 302
    settings.LOGIN_NAME_FAILURE_LIMIT = 0
    assert log_in(new, browser) == 302
    assert log_in(new) == 429


def test_guesses_at_once_are_all_counted(bea: User) -> None:
    """Each waits for all the others before its password is checked."""
    arrived = threading.Barrier(5)
    allowed: list[object] = []

    def guess() -> None:
        request = RequestFactory().post(LOGIN, REMOTE_ADDR=HERE)
        allowed.append(guessing.attempt_count(request, "bea"))
        arrived.wait(30)

    threads = [threading.Thread(target=guess) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 5
    assert log_in(PASSWORD) == 429


def test_registrations_from_one_client_are_limited(client: Client, settings: Settings) -> None:
    settings.THROTTLE_REGISTER_LIMIT = 2
    assert [client.post("/accounts/register/").status_code for _ in range(3)] == [400, 400, 429]
    assert client.get("/accounts/register/").status_code == 200
    assert client.post("/accounts/register/", REMOTE_ADDR=ELSEWHERE).status_code == 400


def test_searches_from_one_client_are_limited(client: Client, settings: Settings) -> None:
    settings.THROTTLE_SEARCH_LIMIT = 2
    answers = [client.get("/products/?q=lamp") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    assert "Too many requests" in answers[-1].content.decode()
    assert client.get("/products/").status_code == 200
    assert client.get("/products/?q=lamp", REMOTE_ADDR=ELSEWHERE).status_code == 200


@pytest.fixture
def _real_hashing(settings: Settings) -> Iterator[None]:
    settings.PASSWORD_HASHERS = ["accounts.hashers.BoundedHasher"]
    get_hashers.cache_clear()  # type: ignore[attr-defined]
    yield
    get_hashers.cache_clear()  # type: ignore[attr-defined]


def test_the_bounded_hasher_reads_and_writes_what_djangos_does() -> None:
    hash_ = PBKDF2PasswordHasher().encode("x", "salt", 1)
    assert hashers.BoundedHasher().encode("x", "salt", 1) == hash_
    assert hashers.BoundedHasher().verify("x", hash_)


@pytest.mark.usefixtures("_real_hashing")
def test_few_passwords_are_hashed_at_a_time(settings: Settings) -> None:
    hashed = make_password(PASSWORD)
    User.objects.create(username="bea", password=hashed)
    assert isinstance(identify_hasher(hashed), hashers.BoundedHasher)
    with ExitStack() as others:
        for _ in range(settings.PASSWORD_HASHING_THREADS):
            others.enter_context(hashers._free)
        for _ in range(6):  # its guesses are not used up by it
            answer = Client().post(LOGIN, {"username": "bea", "password": PASSWORD})
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
            assert "Try again in 2 seconds." in answer.content.decode()
    assert log_in(PASSWORD) == 302
    assert check_password(PASSWORD, hashed)
