"""A session and its account are read together, and are never older than the request."""

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
from accounts.sessions import SessionStore
from accounts.tasks import prune_sessions
from tests.support import make_buyer

pytestmark = pytest.mark.django_db


def log_in(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def who(key: str) -> User | AnonymousUser:
    """Return who a request with this session is."""
    request = HttpRequest()
    request.session = SessionStore(key)
    return get_user(request)


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


@pytest.fixture
def key(bea: User) -> str:
    return log_in(bea)


def test_both_are_one_statement(
    bea: User, key: str, django_assert_num_queries: Callable[[int], AbstractContextManager[None]]
) -> None:
    who(key)  # on PostgreSQL a connection prepares it once
    with django_assert_num_queries(1):
        found = who(key)
    assert isinstance(found, User)
    assert {**vars(found), "_state": None} == {**vars(User.objects.get()), "_state": None}
    assert (found._state.adding, found._state.db) == (False, "default")


def test_the_session_names_its_account(client: Client, bea: User, key: str) -> None:
    assert Session.objects.get().user_id == bea.pk
    session = client.session  # a visitor's
    session["chosen"] = "a lamp"
    session.save()
    assert Session.objects.get(pk=session.session_key).user_id is None
    assert SessionStore(session.session_key)["chosen"] == "a lamp"
    assert isinstance(who(str(session.session_key)), AnonymousUser)


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!new"}])
def test_what_changes_elsewhere_holds_at_the_next_request(
    bea: User, key: str, change: dict[str, object]
) -> None:
    assert who(key) == bea
    SessionStore(key).load()  # a request that never asked who it was from
    User.objects.update(**change)
    assert isinstance(who(key), AnonymousUser)


def test_who_was_deleted_is_a_visitor(bea: User, key: str) -> None:
    bea.delete()
    assert isinstance(who(key), AnonymousUser)
    assert Session.objects.count() == 1


def test_nobody_is_taken_for_who_came_before(bea: User, key: str) -> None:
    ada = make_buyer("ada")
    adas = log_in(ada)
    SessionStore(key).load()
    assert who(adas) == ada
    SessionStore(adas).load()
    assert AccountBackend().get_user(bea.pk) == bea
    SessionStore(key).load()
    assert isinstance(who("a" * 32), AnonymousUser)
    User.objects.update(is_active=False)
    assert AccountBackend().get_user(bea.pk) is None


def test_an_account_is_handed_over_once(bea: User, key: str) -> None:
    assert who(key) == bea
    User.objects.update(is_active=False)
    assert AccountBackend().get_user(bea.pk) is None


def test_a_session_that_is_over_is_not_read_and_then_deleted(bea: User, key: str) -> None:
    kept = log_in(bea)
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert isinstance(who(key), AnonymousUser)
    prune_sessions()
    assert list(Session.objects.values_list("pk", flat=True)) == [kept]
    assert who(kept) == bea
