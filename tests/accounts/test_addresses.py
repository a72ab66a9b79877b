"""Addresses: one spelling of each, verified by a link that works once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from accounts.addresses import (
    account_of,
    address_trust,
    normalized,
    pending_address,
    tokens,
    verified_address,
)
from accounts.models import EmailAddress
from retail.models import Email, SecurityEvent
from tests.support import make_buyer, migrate, send_emails

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

PASSWORD = "correct-horse-battery"
PAGE = "/accounts/email/"
RESET = "/accounts/password-reset/"


def register(client: Client, name: str, email: str) -> tuple[int, str]:
    form = {"username": name, "email": email, "password1": PASSWORD, "password2": PASSWORD}
    response = client.post("/accounts/register/", form, follow=True)
    return response.status_code, response.content.decode().replace(name, "NAME")


def change(client: Client, email: str, password: str = PASSWORD) -> tuple[int, str]:
    response = client.post(PAGE, {"email": email, "password": password}, follow=True)
    return response.status_code, response.content.decode()


def link() -> str:
    """Send the e-mails, and return the path of the link in the latest."""
    send_emails()
    [url] = re.findall(r"http\S+/confirm-email/\S+", str(mail.outbox[-1].body))
    return str(urlsplit(url).path)


@pytest.fixture
def buyer(client: Client) -> User:
    user = make_buyer()
    client.force_login(user)
    return user


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("Buyer@Example.COM", "buyer@example.com"),
        (" buyer@example.com\t", "buyer@example.com"),
        ("\uff42uyer@example.com", "buyer@example.com"),
        ("buyer@\uff45xample.com", "buyer@example.com"),
        ("buyer@example.com.", "buyer@example.com"),
        ('"buyer"@example.com', "buyer@example.com"),
        ('"bu\\yer"@example.com', "buyer@example.com"),
        ("buyer@BÜCHER.example", "buyer@xn--bcher-kva.example"),
        ("buyer@bu\u0308cher.example", "buyer@bücher.example"),
        ("buyer@bücher。example", "buyer@bücher.example"),
        ("STRASSE@example.com", "straße@example.com"),
        ("\u017fam@example.com", "sam@example.com"),
    ],
)
def test_spellings_of_one_mailbox(address: str, other: str) -> None:
    assert normalized(address) == normalized(other)


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("a.b@example.com", "ab@example.com"),
        ("a+b@example.com", "a@example.com"),
        ("m\u0131ke@example.com", "mike@example.com"),
        ("mike@g\u0131thub.example", "mike@github.example"),
        ("a@example.com", "a@example.org"),
    ],
)
def test_mailboxes_that_are_not_the_same(address: str, other: str) -> None:
    assert normalized(address) != normalized(other)


@pytest.mark.parametrize("address", ["", "@", "nobody", "a@..", "a@" + "ﷺ" * 200, "\ud800@x"])
def test_whatever_is_no_address_has_a_normal_form_that_fits(address: str) -> None:
    assert len(normalized(address)) <= 254
    assert normalized(normalized(address)) == normalized(address)


def test_a_link_confirms_the_address_of_a_registration_once(client: Client) -> None:
    assert register(client, "ada", "Ada@example.com")[0] == 200
    ada = User.objects.get()
    assert (verified_address(ada), pending_address(user_id=ada.pk)) == (None, "Ada@example.com")
    path = link()
    assert mail.outbox[-1].to == ["Ada@example.com"]
    stranger = Client()
    assert "ada" in stranger.get(path).content.decode()
    assert verified_address(ada) is None  # a mail server has only looked at it
    assert stranger.post(path).headers["Location"] == "/"
    assert verified_address(ada) == "Ada@example.com"
    for method in (stranger.get, stranger.post):
        assert method(path).status_code == 404
    assert SecurityEvent.objects.filter(event="email_confirmed").count() == 1


def test_a_link_expires(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    register(client, "ada", "ada@example.com")
    path = link()
    later = datetime.now() + timedelta(hours=1, seconds=1)  # noqa: DTZ005 - as the generator does
    monkeypatch.setattr(tokens, "_now", lambda: later)
    assert client.post(path).status_code == 404


@pytest.mark.parametrize("change_of", ["password", "pending", "is_active", "email"])
def test_a_link_ends_with_what_it_was_for(client: Client, change_of: str) -> None:
    register(client, "ada", "ada@example.com")
    path = link()
    if change_of == "pending":
        EmailAddress.objects.update(pending="other@example.com")
    else:
        User.objects.update(**{change_of: False if change_of == "is_active" else "!other"})
    assert client.post(path).status_code == 404
    assert EmailAddress.objects.get().verified is None


@pytest.mark.parametrize("uid", ["MQ", "", "x", "4pa", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ"])
def test_a_forged_link_confirms_nothing(client: Client, uid: str) -> None:
    register(client, "ada", "ada@example.com")
    token = link().rstrip("/").rpartition("/")[2]
    for forged in (token[:-1] + "x", "x", "0-" + "0" * 32):
        assert client.post(f"/accounts/confirm-email/{uid or '-'}/{forged}/").status_code == 404
    assert EmailAddress.objects.get().verified is None


def test_a_registration_does_not_show_that_an_address_is_taken(client: Client, buyer: User) -> None:
    free = register(Client(), "quincey", "free@example.com")
    taken = register(Client(), "zenobia", "BUYER@example.com")
    mask = [re.sub(r"[\w.]+@example.com|[\w+/=-]{32,}", "…", page) for _, page in (free, taken)]
    assert mask[0] == mask[1]
    send_emails()
    to_owner = mail.outbox[-1]
    assert (to_owner.to, to_owner.subject) == (
        ["buyer@example.com"],
        "You already have a Vitrine account",
    )
    assert "/confirm-email/" not in str(to_owner.body)
    assert verified_address(buyer) == "buyer@example.com"


def test_an_address_can_be_verified_by_one_account_only(client: Client) -> None:
    register(client, "ada", "both@example.com")
    first = link()
    second_client = Client()
    register(second_client, "eve", "BOTH@example.com")
    second = link()
    assert second_client.post(second).status_code == 302
    assert client.post(first).status_code == 404
    assert [row.user.username for row in EmailAddress.objects.exclude(verified=None)] == ["eve"]
    assert account_of("both@EXAMPLE.com") == User.objects.get(username="eve")


def test_a_changed_address_is_confirmed_from_the_new_one(client: Client, buyer: User) -> None:
    assert change(client, "new@example.com")[0] == 200
    buyer.refresh_from_db()
    assert verified_address(buyer) == "buyer@example.com"
    path = link()
    assert [message.to for message in mail.outbox] == [["buyer@example.com"], ["new@example.com"]]
    assert "change your password" in str(mail.outbox[0].body)
    assert client.post(path).headers["Location"] == PAGE
    buyer.refresh_from_db()
    assert verified_address(buyer) == "new@example.com"
    send_emails()
    assert mail.outbox[-1].to == ["buyer@example.com"]
    assert "was changed" in mail.outbox[-1].subject
    events = SecurityEvent.objects.order_by("pk").values_list("event", flat=True)
    assert list(events)[-3:] == ["email_change_asked", "email_confirmed", "email_changed"] or (
        list(events)[-3:] == ["email_change_asked", "email_changed", "email_confirmed"]
    )


def test_a_change_needs_the_password(client: Client, buyer: User, settings: Settings) -> None:
    settings.LOGIN_FAILURE_LIMIT = 2
    for _ in range(2):
        status, page = change(client, "new@example.com", "wrong")
        assert status == 400
        assert "That isn&#x27;t your password." in page
    assert change(client, "new@example.com")[0] == 429  # like guesses at the log-in page
    assert (pending_address(user_id=buyer.pk), Email.objects.count()) == ("", 0)


def test_a_change_does_not_show_that_an_address_is_taken(client: Client, buyer: User) -> None:
    make_buyer("other")
    pages = []
    for address in ("free@example.com", "OTHER@example.com"):
        status, page = change(client, address)
        pages.append((status, re.sub(r"[\w.]+@example.com|[\w+/=-]{32,}", "…", page)))
    assert pages[0] == pages[1]
    send_emails()
    assert (mail.outbox[-1].to, "/confirm-email/" in str(mail.outbox[-1].body)) == (
        ["other@example.com"],
        False,
    )


def test_the_present_address_is_no_change(client: Client, buyer: User) -> None:
    status, page = change(client, "BUYER@example.com")
    assert (status, "This is your address already." in page) == (400, True)


def test_the_link_can_be_sent_again_a_few_times(client: Client, settings: Settings) -> None:
    settings.THROTTLE_PASSWORD_RESET_LIMIT = 2
    register(client, "ada", "ada@example.com")
    statuses = [client.post(f"{PAGE}resend/").status_code for _ in range(3)]
    assert statuses == [302, 302, 429]
    settings.THROTTLE_PASSWORD_RESET_LIMIT = 10
    settings.THROTTLE_PASSWORD_RESET_CLIENT_LIMIT = 3
    assert client.post(f"{PAGE}resend/").status_code == 429


def test_strangers_cannot_have_many_emails_sent_to_an_address(settings: Settings) -> None:
    settings.THROTTLE_PASSWORD_RESET_LIMIT = 2
    for number in range(4):
        assert register(Client(), f"eve{number}", "victim@example.com")[0] == 200
        send_emails()
    assert [message.to for message in mail.outbox] == [["victim@example.com"]] * 2


def test_only_a_verified_address_gets_a_reset(client: Client) -> None:
    register(client, "ada", "ada@example.com")
    path = link()
    before = len(mail.outbox)
    answers = [Client().post(RESET, {"email": "ada@example.com"}).status_code]
    send_emails()
    assert len(mail.outbox) == before
    client.post(path)
    answers.append(Client().post(RESET, {"email": "ADA@Example.com"}).status_code)
    send_emails()
    assert answers == [302, 302]
    assert [message.to for message in mail.outbox[before:]] == [["ada@example.com"]]


def test_an_address_that_staff_write_must_be_confirmed(buyer: User, admin_client: Client) -> None:
    path = f"/admin/auth/user/{buyer.pk}/change/"
    names = ("username", "email", "first_name", "last_name")
    form = {name: getattr(buyer, name) for name in names} | {
        "is_active": "on",
        "email": "typed@example.com",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        **{f"profile-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")},
    }
    assert admin_client.post(path, form).status_code == 302
    buyer.refresh_from_db()
    assert (buyer.email, verified_address(buyer)) == ("typed@example.com", None)
    send_emails()
    assert [message.to for message in mail.outbox] == [
        ["buyer@example.com"],
        ["typed@example.com"],
    ]


def test_the_account_page_says_whether_the_address_is_confirmed(client: Client) -> None:
    register(client, "ada", "ada@example.com")
    assert "(not confirmed)" in client.get("/accounts/profile/").content.decode()
    client.post(link())
    assert "(not confirmed)" not in client.get("/accounts/profile/").content.decode()
    assert "Confirmed" in client.get(PAGE).content.decode()


@pytest.mark.usefixtures("migrated_afterwards")
def test_existing_addresses_count_as_verified_and_one_of_equals() -> None:
    migrate(("accounts", "0005_drop_axes"))
    for name, email, fields in (
        ("none", "", {}),
        ("gone", "Team@example.com", {"is_active": False}),
        ("old", "team@example.com", {}),
        ("boss", "TEAM@example.com", {"is_staff": True, "is_superuser": True}),
        ("ada", "ada@bücher.example", {}),
    ):
        User.objects.create_user(name, email, PASSWORD, **fields)
    migrate(("accounts", "0008_email_addresses"))
    rows = EmailAddress.objects.exclude(verified_at=None).order_by("user__username")
    assert [(row.user.username, row.verified) for row in rows] == [
        ("ada", "ada@xn--bcher-kva.example"),
        ("boss", "team@example.com"),
    ]
    assert User.objects.count() == 5
    assert not address_trust(user=User.objects.get(username="old"))
