"""Users see and end their sessions; those of staff end by themselves."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.db import DatabaseError, connection
from django.db.models.query import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.browsers import browser_name
from accounts.models import Session
from accounts.sessions import SessionStore, stored_key
from accounts.tasks import prune_sessions
from retail.models import SecurityEvent
from tests.support import make_buyer, moved

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
PAGE = "/accounts/sessions/"
PASSWORD = "correct-horse-battery"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0"
HOURS = 3600


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


def log_in(name: str, agent: str = FIREFOX, at: str = "203.0.113.7") -> Client:
    client = Client(HTTP_USER_AGENT=agent, REMOTE_ADDR=at)
    client.post("/accounts/login/", {"username": name, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def row_of(client: Client) -> Session:
    return Session.objects.get(pk=stored_key(client.cookies["sessionid"].value))


def age(*, started: float = 0, seen: float = 0) -> None:
    """Let all sessions have begun, and have been used last, so many seconds ago."""
    now = timezone.now()
    Session.objects.update(
        started_at=now - timedelta(seconds=started), seen_at=now - timedelta(seconds=seen)
    )


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (EDGE, "Edge on Windows"),
        ("Mozilla/5.0 (iPhone) Version/26.0 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/140.0 Mobile Safari/537.36", None),
        ("curl/8.0", "Unknown browser"),
        ("", "Unknown browser"),
    ],
)
def test_the_family_of_a_browser(agent: str, name: str | None) -> None:
    assert browser_name(agent) == (name or "Chrome on Android")


def test_the_page_lists_the_users_sessions_and_marks_this_one(bea: User) -> None:
    here, there = log_in("bea"), log_in("bea", EDGE, "2001:db8::1")
    make_buyer("ada")
    log_in("ada", at="198.51.100.9")
    expired = log_in("bea", at="192.0.2.1")
    rows = Session.objects.filter(pk=row_of(expired).pk)
    rows.update(expire_date=timezone.now() - timedelta(seconds=1))
    text = here.get(PAGE).content.decode()
    shown = [("Edge on Windows", ""), ("Firefox on Linux", MARK)]  # the one used last first
    assert re.findall(r"<strong>(.+?)</strong>(.*?)</p>", text.split("<main")[1])[:2] == shown
    rows = Session.objects.filter(pk=row_of(there).pk)
    rows.update(seen_at=timezone.now() - timedelta(seconds=60))
    text = here.get(PAGE).content.decode()
    assert re.findall(r"<strong>(.+?)</strong>(.*?)</p>", text.split("<main")[1])[:2] == shown[::-1]
    assert "192.0.2.1" not in text
    assert "203.0.113.7" in text
    assert "2001:db8::1" in text
    assert "198.51.100.9" not in text
    assert row_of(there).pk in text
    assert f'value="{row_of(here).pk}"' not in text
    assert there.cookies["sessionid"].value not in text


MARK = ' <span class="pill confirmed">this browser</span>'


def test_one_session_is_ended_from_another(bea: User) -> None:
    here, there, third = log_in("bea"), log_in("bea"), log_in("bea")
    SecurityEvent.objects.all().delete()
    with moved() as changes:
        answer = here.post(PAGE, {"session": row_of(there).pk})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert [is_in(client) for client in (here, there, third)] == [True, False, True]
    assert changes['retail_security_events_total{event="session_ended"}'] == 1
    event = SecurityEvent.objects.get()
    assert (event.event, event.user_id, event.subject, event.detail) == (
        "session_ended",
        bea.pk,
        f"auth.user {bea.pk}",
        "sessions: 1",
    )


def test_all_others_are_ended_at_once(bea: User) -> None:
    here, there, third = log_in("bea"), log_in("bea"), log_in("bea")
    here.post(PAGE, {"others": "all"})
    assert [is_in(client) for client in (here, there, third)] == [True, False, False]


def test_nobody_ends_what_is_not_theirs(bea: User) -> None:
    make_buyer("ada")
    here, adas = log_in("bea"), log_in("ada")
    key = row_of(adas).pk
    for form in ({"session": key}, {"others": "all"}, {"session": "\x00"}, {"session": "x"}, {}):
        assert here.post(PAGE, form).status_code == 302
    assert (is_in(here), is_in(adas)) == (True, True)
    assert Client().post(PAGE, {"session": key})["Location"].startswith("/accounts/login/")
    assert is_in(adas)


def change_in_the_admin(client: Client, user: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": "another-horse-99"}
    form["new_password2"] = form["new_password1"]
    assert client.post("/admin/password_change/", form).status_code == 302


def change_by_a_link(client: Client, user: User) -> None:
    uid, token = urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator
    page = client.get(f"/accounts/password-reset/{uid}/{token.make_token(user)}/")["Location"]
    password = "another-horse-99"
    form = {"new_password1": password, "new_password2": password}
    assert client.post(page, form).status_code == 302


@pytest.mark.parametrize("change", [change_in_the_admin, change_by_a_link])
def test_a_new_password_ends_the_other_sessions(change: object, bea: User) -> None:
    User.objects.update(is_staff=True)
    here, there = log_in("bea"), log_in("bea")
    assert callable(change)
    change(here, User.objects.get())
    if change is change_in_the_admin:  # first: a request of the other session deletes its row
        text = here.get(PAGE).content.decode()
        assert text.count("<strong>Firefox") == 1
    age(seen=600)  # the request that finds it invalid is one that would keep when it was used
    assert not is_in(there)


@pytest.mark.parametrize(
    ("started", "seen", "staff_in"),
    [
        (11.9 * HOURS, 0, True),
        (12 * HOURS, 0, False),
        (0.99 * HOURS, 0.98 * HOURS, True),
        (2 * HOURS, 1 * HOURS, False),
    ],
)
def test_sessions_of_staff_end_by_age_and_when_idle(
    bea: User, started: float, seen: float, staff_in: bool
) -> None:
    client = log_in("bea")
    age(started=started, seen=seen)
    assert is_in(client)  # a customer
    User.objects.update(is_staff=True)
    age(started=started, seen=seen)
    assert is_in(client) is staff_in
    age(started=started, seen=seen)
    other = log_in("bea")
    assert other.get(PAGE).content.decode().count("<strong>Firefox") == 1 + staff_in


def test_saving_a_session_does_not_make_it_younger(bea: User) -> None:
    User.objects.update(is_staff=True)
    client = log_in("bea")
    age(started=11.9 * HOURS, seen=0)
    before = row_of(client)
    session = SessionStore(client.cookies["sessionid"].value)
    session["chosen"] = "a lamp"
    session.save()
    after = row_of(client)
    assert (after.started_at, after.client, after.browser) == (
        before.started_at,
        "203.0.113.7",
        "Firefox on Linux",
    )
    session.cycle_key()
    assert Session.objects.get(user_id=bea.pk).started_at == before.started_at


def writes(client: Client, method: str = "GET", headers: dict[str, str] | None = None) -> int:
    with CaptureQueriesContext(connection) as captured:
        client.generic(method, "/cart/", headers=headers)
    return sum("UPDATE" in query["sql"] for query in captured)


def test_a_page_keeps_when_the_session_was_used_every_five_minutes(bea: User) -> None:
    client = log_in("bea")
    assert writes(client) == 0
    age(seen=299)
    assert writes(client) == 0
    age(seen=301)
    client.defaults |= {"HTTP_USER_AGENT": EDGE, "REMOTE_ADDR": "198.51.100.9"}
    assert [writes(client), writes(client)] == [1, 0]
    row = row_of(client)
    assert timezone.now() - row.seen_at < timedelta(seconds=60)
    assert (row.client, row.browser) == ("198.51.100.9", "Edge on Windows")


@pytest.mark.parametrize(("method", "headers"), [("POST", {}), ("GET", {"HX-Request": "true"})])
def test_forms_and_pages_that_refresh_themselves_write_nothing(
    bea: User, method: str, headers: dict[str, str]
) -> None:
    client = log_in("bea")
    age(seen=2000)
    assert writes(client, method, headers) == 0
    assert timezone.now() - row_of(client).seen_at > timedelta(seconds=1900)


def test_a_page_is_shown_if_its_session_cannot_be_updated(
    bea: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DatabaseError

    client = log_in("bea")
    age(seen=301)
    monkeypatch.setattr(QuerySet, "update", fail)
    with moved() as changes:
        assert client.get("/cart/").status_code == 200
    assert changes['retail_telemetry_errors_total{sink="security"}'] == 1


@pytest.mark.parametrize("over", [{"started": 12 * HOURS}, {"seen": 1 * HOURS}])
def test_sessions_of_staff_that_are_over_are_deleted(bea: User, over: dict[str, float]) -> None:
    User.objects.update(is_staff=True)
    make_buyer("ada")
    kept = log_in("bea")
    age(started=11.9 * HOURS, seen=0.9 * HOURS)
    prune_sessions()
    assert Session.objects.get().pk == row_of(kept).pk
    log_in("ada")
    age(**over)
    kept = log_in("bea")
    prune_sessions()
    assert Session.objects.filter(user_id=bea.pk).get().pk == row_of(kept).pk
    assert Session.objects.count() == 2
