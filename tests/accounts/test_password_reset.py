import re
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from pytest_django import Settings

from tests.support import make_buyer, moved

pytestmark = pytest.mark.django_db
RESET = "/accounts/password-reset/"


@pytest.fixture
def buyer() -> User:
    return make_buyer()


def ask(client: Client, address: str) -> tuple[int, str]:
    answer = client.post(RESET, {"email": address})
    return answer.status_code, answer.headers.get("Location", "")


def link() -> str:
    [letter] = mail.outbox
    [found] = re.findall(r"http\S+", str(letter.body))
    return str(urlsplit(found).path)


def test_the_link_in_the_letter_sets_a_new_password_once(client: Client, buyer: User) -> None:
    assert ask(client, "buyer@example.com") == (302, f"{RESET}sent/")
    assert "Look into your mail" in client.get(f"{RESET}sent/").content.decode()
    [letter] = mail.outbox
    assert (letter.to, letter.subject) == (
        ["buyer@example.com"],
        "Your new password at Vitrine",
    )
    page = client.get(link(), follow=True)
    assert "Choose a new password" in page.content.decode()
    words = {"new_password1": "new-horse-battery-9", "new_password2": "new-horse-battery-9"}
    answer = client.post(page.request["PATH_INFO"], words)
    assert answer.headers["Location"] == "/accounts/login/"
    buyer.refresh_from_db()
    assert buyer.check_password("new-horse-battery-9")
    used = Client().get(link(), follow=True)
    assert "That link no longer works" in used.content.decode()


def test_a_weak_new_password_is_refused_with_the_reason(client: Client, buyer: User) -> None:
    ask(client, "buyer@example.com")
    page = client.get(link(), follow=True)
    answer = client.post(
        page.request["PATH_INFO"], {"new_password1": "12345678", "new_password2": "12345678"}
    )
    assert "too common" in answer.content.decode()
    buyer.refresh_from_db()
    assert buyer.check_password("correct-horse-battery")


def test_an_unknown_address_gets_the_same_answer_and_no_letter(client: Client, buyer: User) -> None:
    assert ask(client, "nobody@example.com") == ask(client, "buyer@example.com")
    assert [letter.to for letter in mail.outbox] == [["buyer@example.com"]]


def test_nobody_is_flooded_with_letters(client: Client, buyer: User, settings: Settings) -> None:
    settings.THROTTLE_PASSWORD_RESET_LIMIT = 2
    for _ in range(2):
        assert ask(client, "buyer@example.com")[0] == 302
    with moved() as changes:
        answer = client.post(RESET, {"email": " Buyer@Example.com "})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    assert changes['retail_throttled_requests_total{scope="password_reset"}'] == 1
    assert len(mail.outbox) == 2


def test_the_log_never_has_the_link(
    client: Client, buyer: User, caplog: pytest.LogCaptureFixture
) -> None:
    ask(client, "buyer@example.com")
    token = link().rstrip("/").rpartition("/")[2]
    with caplog.at_level("INFO"):
        client.get(link())
    paths = [record.__dict__["path"] for record in caplog.records if "path" in record.__dict__]
    assert paths[-1].endswith("/[hidden]/")
    assert token not in caplog.text


def test_who_guesses_passwords_is_locked_out_for_a_while(
    client: Client, buyer: User, settings: Settings
) -> None:
    wrong = {"username": "buyer", "password": "guess"}
    right = {"username": "buyer", "password": "correct-horse-battery"}
    statuses = [client.post("/accounts/login/", wrong).status_code for _ in range(4)]
    assert statuses == [400] * 4
    with moved() as changes:
        answer = client.post("/accounts/login/", wrong)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "300"
    assert "Wait 5 minutes" in answer.content.decode()
    assert changes['retail_throttled_requests_total{scope="login"}'] == 1
    assert client.post("/accounts/login/", right).status_code == 429
    other = make_buyer("other")
    good = {"username": other.username, "password": "correct-horse-battery"}
    assert client.post("/accounts/login/", good).status_code == 302


def test_the_admins_login_is_guarded_too(client: Client, buyer: User) -> None:
    wrong = {"username": "buyer", "password": "guess"}
    statuses = [client.post("/admin/login/", wrong).status_code for _ in range(5)]
    assert statuses == [200] * 4 + [429]
