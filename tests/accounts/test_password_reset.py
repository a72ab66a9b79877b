import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core import mail
from django.test import Client
from pytest_django import Settings

from retail.models import Email
from retail.observability.logs.formatter import JsonFormatter
from tests.support import make_buyer, moved, send_emails

pytestmark = pytest.mark.django_db
RESET = "/accounts/password-reset/"


@pytest.fixture
def buyer() -> User:
    return make_buyer()


def request_reset(client: Client, address: str) -> tuple[int, str]:
    response = client.post(RESET, {"email": address})
    send_emails()
    return response.status_code, response.headers.get("Location", "")


def link() -> str:
    [message] = mail.outbox
    [url] = re.findall(r"http\S+", str(message.body))
    return str(urlsplit(url).path)


def test_the_link_in_the_email_sets_a_new_password_once(client: Client, buyer: User) -> None:
    assert request_reset(client, "buyer@example.com") == (302, f"{RESET}sent/")
    assert "Check your e-mail" in client.get(f"{RESET}sent/").content.decode()
    [message] = mail.outbox
    assert (message.to, message.subject) == (["buyer@example.com"], "Reset your Vitrine password")
    page = client.get(link(), follow=True)
    assert "Choose a new password" in page.content.decode()
    form = {"new_password1": "new-horse-battery-9", "new_password2": "new-horse-battery-9"}
    response = client.post(page.request["PATH_INFO"], form)
    assert response.headers["Location"] == "/accounts/login/"
    buyer.refresh_from_db()
    assert buyer.check_password("new-horse-battery-9")
    used = Client().get(link(), follow=True)
    assert "This link no longer works" in used.content.decode()


def test_a_weak_new_password_is_refused_with_the_reason(client: Client, buyer: User) -> None:
    request_reset(client, "buyer@example.com")
    page = client.get(link(), follow=True)
    response = client.post(
        page.request["PATH_INFO"], {"new_password1": "12345678", "new_password2": "12345678"}
    )
    assert "too common" in response.content.decode()
    buyer.refresh_from_db()
    assert buyer.check_password("correct-horse-battery")


def test_an_unknown_address_gets_the_same_response_and_no_email(
    client: Client, buyer: User
) -> None:
    assert request_reset(client, "nobody@example.com") == request_reset(client, "buyer@example.com")
    assert [message.to for message in mail.outbox] == [["buyer@example.com"]]


def test_reset_emails_to_one_address_are_throttled(
    client: Client, buyer: User, settings: Settings
) -> None:
    settings.THROTTLE_PASSWORD_RESET_LIMIT = 2
    for _ in range(2):
        assert request_reset(client, "buyer@example.com")[0] == 302
    with moved() as changes:
        response = client.post(RESET, {"email": " Buyer@Example.com "})
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 3600
    assert changes['retail_throttled_requests_total{scope="password_reset"}'] == 1
    assert len(mail.outbox) == 2


def test_the_reset_token_is_never_logged(
    client: Client, buyer: User, caplog: pytest.LogCaptureFixture
) -> None:
    request_reset(client, "buyer@example.com")
    token = link().rstrip("/").rpartition("/")[2]
    with caplog.at_level("INFO"):
        client.get(link())
    lines = [JsonFormatter().format(record) for record in caplog.records]
    shown = link().partition("/accounts/")[2].replace(token, "[hidden]")
    assert f"/accounts/{shown}" in lines[-1]
    assert token not in "".join(lines)


def test_resets_from_one_client_are_throttled(
    client: Client, buyer: User, settings: Settings
) -> None:
    settings.THROTTLE_PASSWORD_RESET_CLIENT_LIMIT = 2
    for name in ("a", "b"):
        assert request_reset(client, f"{name}@example.com")[0] == 302
    assert request_reset(client, "buyer@example.com")[0] == 429
    answer = client.post(RESET, {"email": "buyer@example.com"}, REMOTE_ADDR="198.51.100.1")
    assert answer.status_code == 302


def test_the_page_neither_sends_the_email_nor_stores_its_link(client: Client, buyer: User) -> None:
    for _ in range(2):  # a double click
        assert client.post(RESET, {"email": "buyer@example.com"}).status_code == 302
    assert mail.outbox == []
    assert send_emails() == 1
    token = link().rstrip("/").rpartition("/")[2]
    assert token not in str(list(Email.objects.values()))


def test_a_link_sent_late_works_for_an_hour_from_then(
    client: Client, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(RESET, {"email": "buyer@example.com"})
    later = datetime.now() + timedelta(hours=20)  # noqa: DTZ005 - as the generator does
    monkeypatch.setattr(default_token_generator, "_now", lambda: later)
    send_emails()
    assert "Choose a new password" in client.get(link(), follow=True).content.decode()


@pytest.mark.parametrize("change", [{"is_active": False}, {"email": ""}, {"password": "!"}])
def test_nobody_is_written_to_who_may_no_longer_reset(
    client: Client, buyer: User, change: dict[str, object]
) -> None:
    client.post(RESET, {"email": "buyer@example.com"})
    User.objects.update(**change)
    send_emails()
    assert (mail.outbox, Email.objects.get().state) == ([], "not_needed")
