"""A session and its account are read in one query, and always reread for each request."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from accounts.backends import AccountBackend
from accounts.models import Session
from accounts.sessions import SessionStore, stored_key
from accounts.tasks import prune_sessions
from tests.support import make_buyer

pytestmark = pytest.mark.django_db


def log_in(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def user_of(key: str) -> User | AnonymousUser:
    """Return the user of a request with this session."""
    request = HttpRequest()
    request.session = SessionStore(key)
    return get_user(request)


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


@pytest.fixture
def key(bea: User) -> str:
    return log_in(bea)


def test_session_and_account_are_read_in_one_query(
    bea: User, key: str, django_assert_num_queries: Callable[[int], AbstractContextManager[None]]
) -> None:
    user_of(key)  # on PostgreSQL, each connection prepares the statement once
    with django_assert_num_queries(1):
        user = user_of(key)
    assert isinstance(user, User)
    assert {**vars(user), "_state": None} == {**vars(User.objects.get()), "_state": None}
    assert (user._state.adding, user._state.db) == (False, "default")


def test_the_session_stores_its_account(client: Client, bea: User, key: str) -> None:
    assert Session.objects.get().user_id == bea.pk
    session = client.session  # a visitor's
    session["chosen"] = "a lamp"
    session.save()
    assert Session.objects.get(pk=stored_key(str(session.session_key))).user_id is None
    assert SessionStore(session.session_key)["chosen"] == "a lamp"
    assert isinstance(user_of(str(session.session_key)), AnonymousUser)


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!new"}])
def test_a_changed_account_is_logged_out_at_the_next_request(
    bea: User, key: str, change: dict[str, object]
) -> None:
    assert user_of(key) == bea
    SessionStore(key).load()  # a request that never read its user
    User.objects.update(**change)
    assert isinstance(user_of(key), AnonymousUser)


def test_what_is_stored_of_a_key_opens_no_session(bea: User, key: str) -> None:
    stored = Session.objects.get()
    assert stored.pk != key
    assert key not in f"{vars(stored)} {stored.get_decoded()}"
    assert user_of(key) == bea
    assert isinstance(user_of(stored.pk), AnonymousUser)
    assert isinstance(user_of(stored.pk[:32]), AnonymousUser)


def test_a_deleted_user_becomes_an_anonymous_visitor(bea: User, key: str) -> None:
    bea.delete()
    assert isinstance(user_of(key), AnonymousUser)
    assert Session.objects.count() == 1


def test_an_account_is_never_used_for_another_session(bea: User, key: str) -> None:
    ada = make_buyer("ada")
    adas = log_in(ada)
    SessionStore(key).load()
    assert user_of(adas) == ada
    SessionStore(adas).load()
    assert AccountBackend().get_user(bea.pk) == bea
    SessionStore(key).load()
    assert isinstance(user_of("a" * 32), AnonymousUser)
    User.objects.update(is_active=False)
    assert AccountBackend().get_user(bea.pk) is None


def test_a_loaded_account_is_used_once(bea: User, key: str) -> None:
    assert user_of(key) == bea
    User.objects.update(is_active=False)
    assert AccountBackend().get_user(bea.pk) is None


def test_an_expired_session_is_ignored_and_then_deleted(bea: User, key: str) -> None:
    kept = log_in(bea)
    Session.objects.filter(pk=stored_key(key)).update(
        expire_date=timezone.now() - timedelta(seconds=1)
    )
    assert isinstance(user_of(key), AnonymousUser)
    prune_sessions()
    assert list(Session.objects.values_list("pk", flat=True)) == [stored_key(kept)]
    assert user_of(kept) == bea


@pytest.mark.parametrize(
    "key",
    [
        *("", "a" * 31, "a" * 33, "A" * 32, "\x00" * 32, "a" * 31 + "\x00", "a" * 31 + "\n"),
        *("é" * 32, "٣" * 32, "\ud800" * 32, "a" * 8000),
    ],
)
def test_a_key_that_django_cannot_have_made_never_reaches_the_database(
    key: str, django_assert_num_queries: Callable[[int], AbstractContextManager[None]]
) -> None:
    with django_assert_num_queries(0):
        assert isinstance(user_of(key), AnonymousUser)


def test_a_cookie_with_a_nul_gets_a_page(client: Client) -> None:
    assert (
        client.get("/", headers={"Cookie": r'sessionid="aaaaaaaa\000bbbbbbbb"'}).status_code == 200
    )
