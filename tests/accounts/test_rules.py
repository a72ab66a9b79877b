"""Rules of accounts at their limits: sessions, notices, profiles and waiting times."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.utils import timezone

from accounts.models import Notice, UserProfile
from accounts.services import (
    customer_register,
    notice_add,
    notice_drop,
    notices_take,
    profile_save_delivery,
)
from accounts.sessions import SessionStore
from accounts.tasks import prune_notices
from accounts.views import _in_minutes, login_username
from tests.support import make_buyer

pytestmark = pytest.mark.django_db


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


def notice(user: User, link: str, text: str = "Paid.") -> None:
    notice_add(user_id=user.pk, is_good=True, text=text, link=link, link_text="See")


def test_a_session_key_that_is_not_stored_is_not_adopted() -> None:
    chosen = "a" * 32  # by somebody else, who put it into the browser
    store = SessionStore(chosen)
    store["cart"] = 1
    store.save()
    assert store.session_key not in {None, chosen}


def test_the_second_of_two_forms_gets_the_account_only_with_its_password(bea: User) -> None:
    password = "correct-horse-battery"
    assert customer_register(username="bea", email="", password=password) == bea
    assert customer_register(username="bea", email="", password="another-one") is None
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("stored", "saved"),
    [
        (("", ""), ("New", "2 Street")),
        (("Bea", ""), ("Bea", "2 Street")),
        (("", "1 Street"), ("New", "1 Street")),
        (("Bea", "1 Street"), ("Bea", "1 Street")),
    ],
)
def test_an_order_fills_in_only_what_the_profile_lacks(
    bea: User, stored: tuple[str, str], saved: tuple[str, str]
) -> None:
    UserProfile.objects.create(user=bea, full_name=stored[0], address=stored[1], phone="1")
    profile_save_delivery(user_id=bea.pk, full_name="New", address="2 Street")
    profile = UserProfile.objects.get()
    assert (profile.full_name, profile.address, profile.phone) == (*saved, "1")


def test_seeing_a_page_ends_the_notice_of_that_page_only(bea: User) -> None:
    for link in ("/orders/1/", "/orders/2/"):
        notice(bea, link)
    notice(make_buyer("cem"), "/orders/1/")
    notice_drop(user=bea, link="/orders/1/")  # read with a session without notices
    assert Notice.objects.count() == 3
    bea.has_notices = True  # type: ignore[attr-defined]
    notice_drop(user=bea, link="/orders/1/")
    assert sorted(Notice.objects.values_list("user__username", "link")) == [
        ("bea", "/orders/2/"),
        ("cem", "/orders/1/"),
    ]
    assert [one.link for one in notices_take(user=bea)] == ["/orders/2/"]
    assert Notice.objects.get().user.username == "cem"


def test_a_notice_that_replaces_another_is_kept_from_then_on(bea: User) -> None:
    for link in ("/orders/1/", "/orders/2/"):
        notice(bea, link)
    Notice.objects.update(created_at=timezone.now() - timedelta(days=31))
    notice(bea, "/orders/1/", "Shipped.")
    assert prune_notices() == 1
    assert Notice.objects.get().text == "Shipped."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 minute"), (60, "1 minute"), (61, "2 minutes"), (300, "5 minutes")],
)
def test_a_waiting_time_is_rounded_up_to_minutes(seconds: float, text: str) -> None:
    assert _in_minutes(seconds) == text


def test_a_username_is_counted_as_long_as_its_column() -> None:
    request = RequestFactory().post("/", {"username": "x" * 300})
    assert login_username(request) == "x" * 255
    assert login_username(request, {"username": "bea"}) == "bea"
    assert login_username(request, {"password": "?"}) == ""
