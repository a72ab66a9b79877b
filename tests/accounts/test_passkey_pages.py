"""Staff add passkeys, log in with them and remove them; other ways to log in stay."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command

from accounts.models import Passkey, RecoveryCodes, Session
from accounts.second_factor import app_of
from retail import personal_data
from retail.models import SecurityEvent
from tests.accounts.authenticator import Authenticator
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
    secret_of,
)
from tests.support import make_buyer

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
ADD, USE = f"{BASE}passkeys/add/", f"{CHECK}passkey/"
CODES = re.compile(r"<code>([a-z2-7]{6}(?:-[a-z2-7]{6}){3})</code>")
NAMED = {"name": "Laptop", "password": PASSWORD}
BUTTON = 'data-question="'


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail.throttling.time.time", lambda: 3000.0)


def at_home(user: User) -> Client:
    """Log in with the password alone, at an address where passkeys work."""
    client = log_in(user)
    client.defaults["SERVER_NAME"] = "localhost"
    return client


def ask(client: Client, page: str, **fields: str) -> dict[str, Any]:
    response = client.post(f"{page}question/", fields)
    assert response.status_code == 200
    question: dict[str, Any] = response.json()
    return question


def add(client: Client, passkey: Authenticator, **changes: str) -> Any:
    form = {**NAMED, **changes}
    answer = json.dumps(passkey.create(ask(client, ADD, **form)))
    return client.post(ADD, {**form, "answer": answer})


def use(client: Client, passkey: Authenticator, **fields: str) -> Any:
    return client.post(USE, {"answer": json.dumps(passkey.get(ask(client, USE))), **fields})


@pytest.fixture
def hers(stella: User) -> Authenticator:
    """Give stella a passkey."""
    passkey = Authenticator()
    assert add(at_home(stella), passkey).status_code == 200
    return passkey


def verified(user: User, passkey: Authenticator) -> Client:
    client = at_home(user)
    assert use(client, passkey).status_code == 302
    return client


def events() -> list[tuple[str, str, str]]:
    found = SecurityEvent.objects.filter(event__startswith="factor").order_by("pk")
    return list(found.values_list("event", "outcome", "detail"))


def page_of(client: Client, path: str = BASE) -> str:
    return client.get(path).content.decode()


def test_a_passkey_is_added_and_then_asked_for(stella: User) -> None:
    here, there, passkey = at_home(stella), at_home(stella), Authenticator()
    before = here.cookies["sessionid"].value
    page = add(here, passkey)
    assert page.status_code == 200
    assert len(set(CODES.findall(page.content.decode()))) == 10
    assert here.cookies["sessionid"].value != before
    assert is_in(here)
    assert not is_in(there)  # it was ended
    assert "Laptop" in page_of(here)
    assert "never used" in page_of(here)
    later = at_home(stella)
    assert not is_in(later)
    assert use(later, passkey, next="/metrics/dashboard/")["Location"] == "/metrics/dashboard/"
    assert is_in(later)
    assert "last used" in page_of(later)
    assert events() == [
        ("factor_added", "succeeded", "passkey"),
        ("factor_added", "succeeded", "recovery codes"),
        ("factor_used", "succeeded", "passkey"),
    ]


def test_opening_a_page_stores_nothing(stella: User, hers: Authenticator) -> None:
    asked, inside = at_home(stella), verified(stella, hers)
    before = [dict(client.session) for client in (asked, inside)]
    assert BUTTON in page_of(asked, CHECK)
    assert BUTTON in page_of(inside, ADD)
    assert [dict(client.session) for client in (asked, inside)] == before


def test_a_second_factor_more_leaves_the_recovery_codes(stella: User, clock: Clock) -> None:
    codes = enrol(stella, clock)
    client = at_home(stella)
    client.post(CHECK, {"code": clock.code()})
    assert add(client, Authenticator())["Location"] == BASE
    both = at_home(stella)
    text = page_of(both, CHECK)
    assert BUTTON in text
    assert "Six digits from your authenticator app" in text
    assert both.post(CHECK, {"code": codes[0]}).status_code == 302
    assert is_in(both)


def test_with_a_passkey_alone_a_recovery_code_is_the_other_way(stella: User) -> None:
    codes = CODES.findall(add(at_home(stella), Authenticator()).content.decode())
    client = at_home(stella)
    text = page_of(client, CHECK)
    assert "Recovery code" in text
    assert "authenticator app" not in text
    assert client.post(CHECK, {"code": "123456"}).status_code == 400
    assert client.post(CHECK, {"code": codes[0]}).status_code == 302
    assert is_in(client)


def test_with_a_passkey_the_password_alone_changes_nothing(
    stella: User, hers: Authenticator
) -> None:
    """Also in a session from before it was added, as if that had not been ended."""
    client = at_home(stella)
    session = client.session
    del session["second_factor"]
    session.save()
    pk = Passkey.objects.get().pk
    for path in (ADD, f"{ADD}question/", SET_UP, f"{BASE}passkeys/{pk}/remove/"):
        assert client.post(path, NAMED)["Location"].startswith(CHECK)
        session.save()
    assert Passkey.objects.count() == 1


def test_a_question_needs_the_password(stella: User) -> None:
    client = at_home(stella)
    for form, text in (
        ({"name": "Laptop", "password": "wrong"}, "Your password: That isn't your password."),
        ({"name": "", "password": PASSWORD}, "Name of the passkey: This field is required."),
    ):
        response = client.post(f"{ADD}question/", form)
        assert (response.status_code, response.json()) == (400, {"error": text})
    assert "passkey_challenge" not in client.session


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("", "Your browser has made no passkey"),
        ("{}", "not a passkey that the shop can use"),
        ("[" * 9000, "not a passkey that the shop can use"),
        ("x" * 20_001, "Part of the form is missing"),
    ],
)
def test_a_wrong_answer_adds_nothing(answer: str, text: str, stella: User) -> None:
    client = at_home(stella)
    ask(client, ADD, **NAMED)
    response = client.post(ADD, {**NAMED, "answer": answer})
    assert response.status_code == 400
    assert text in response.content.decode()
    assert not Passkey.objects.exists()


@pytest.mark.parametrize("answer", ["", "{}", "\x00", "[" * 9000, "x" * 20_001])
def test_a_wrong_answer_lets_nobody_in(answer: str, stella: User, hers: Authenticator) -> None:
    client = at_home(stella)
    ask(client, USE)
    response = client.post(USE, {"answer": answer})
    assert response.status_code == 400
    assert "This passkey was not accepted" in response.content.decode()
    assert not is_in(client)
    assert use(client, hers).status_code == 302


def test_passkeys_and_codes_have_one_limit(
    stella: User, hers: Authenticator, settings: Settings
) -> None:
    settings.LOGIN_FAILURE_LIMIT = 2
    for _ in range(3):
        verified(stella, hers)  # right ones are not counted
    client = at_home(stella)
    form = {"answer": "{}"}
    assert client.post(CHECK, {"code": "wrong"}).status_code == 400
    assert [client.post(USE, form).status_code for _ in range(2)] == [400, 429]
    assert use(client, hers).status_code == 429


def test_a_passkey_is_removed(stella: User, hers: Authenticator, clock: Clock) -> None:
    client, other = verified(stella, hers), verified(stella, hers)
    remove = f"{BASE}passkeys/{Passkey.objects.get().pk}/remove/"
    assert "Your password alone will be enough" in page_of(client, remove)
    assert client.post(remove, {"password": "wrong"}).status_code == 400
    asked = at_home(stella)
    answer = hers.get(ask(asked, USE))
    assert client.post(remove, {"password": PASSWORD})["Location"] == BASE
    assert (is_in(client), is_in(other)) == (True, False)
    assert (Passkey.objects.count(), RecoveryCodes.objects.count()) == (0, 0)
    assert events()[-1] == ("factor_removed", "succeeded", "passkey")
    assert asked.post(USE, {"answer": json.dumps(answer)}).status_code == 302
    assert not is_in(asked)
    assert is_in(log_in(stella))


def test_the_last_factor_stays_where_one_is_required(
    stella: User, hers: Authenticator, clock: Clock, settings: Settings
) -> None:
    settings.STAFF_MFA = True
    client = verified(stella, hers)
    remove = f"{BASE}passkeys/{Passkey.objects.get().pk}/remove/"
    assert remove not in page_of(client)
    assert client.post(remove, {"password": PASSWORD}).status_code == 403
    assert RecoveryCodes.objects.exists()
    add(client, Authenticator(), name="Key")
    assert remove in page_of(client)
    assert client.post(remove, {"password": PASSWORD}).status_code == 302
    assert (Passkey.objects.get().name, RecoveryCodes.objects.count()) == ("Key", 1)
    assert is_in(client)


def test_the_app_is_removed_and_passkeys_stay(
    stella: User, hers: Authenticator, clock: Clock, settings: Settings
) -> None:
    settings.STAFF_MFA = True
    client = verified(stella, hers)
    key, sent = secret_of(page_of(client, SET_UP))
    form = {"key": sent, "code": clock.code(key), "password": PASSWORD}
    assert client.post(SET_UP, form)["Location"] == BASE  # without new recovery codes
    assert client.post(f"{BASE}remove/", {"password": PASSWORD}).status_code == 302
    assert app_of(stella) is None
    assert is_in(client)
    assert not is_in(at_home(stella))
    assert events()[-1] == ("factor_removed", "succeeded", "authenticator app")


def test_a_passkey_of_somebody_else_is_not_found(stella: User, hers: Authenticator) -> None:
    otto = at_home(make_staff("otto"))
    path = f"{BASE}passkeys/{Passkey.objects.get().pk}/remove/"
    assert otto.get(path).status_code == 404
    assert otto.post(path, {"password": PASSWORD}).status_code == 404
    assert Passkey.objects.exists()


def test_customers_add_none() -> None:
    client = at_home(make_buyer("bea"))
    assert client.get(ADD).status_code == 403
    assert client.post(f"{ADD}question/", NAMED).status_code == 403


@pytest.mark.parametrize(
    ("host", "shop_url", "secure", "text"),
    [
        ("127.0.0.1", "", False, "by its name, not by an IP address"),
        ("[::1]", "", False, "by its name, not by an IP address"),
        ("127.0.0.1", "http://localhost", False, "only at http://localhost."),
        ("localhost", "https://shop.example.com", False, "only at https://shop.example.com."),
        ("testserver", "", False, "Passkeys need https"),
        ("testserver", "", True, ""),
        ("localhost", "", False, ""),
    ],
)
def test_the_pages_say_where_passkeys_work(
    host: str,
    shop_url: str,
    secure: bool,
    text: str,
    stella: User,
    hers: Authenticator,
    settings: Settings,
) -> None:
    asked, inside = at_home(stella), verified(stella, hers)
    settings.SHOP_URL = shop_url
    for client, path in ((inside, ADD), (asked, CHECK)):
        page = client.get(path, secure=secure, headers={"Host": host}).content.decode()
        assert text in page
        assert (BUTTON in page) is (not text)
        assert ("passkeys.js" in page) is (not text)
        base = USE if path == CHECK else path
        response = client.post(f"{base}question/", NAMED, secure=secure, headers={"Host": host})
        assert response.status_code == (400 if text else 200)
        assert text in str(response.json())


def test_without_an_address_of_its_own_the_shop_says_so(
    stella: User, hers: Authenticator, settings: Settings
) -> None:
    client = verified(stella, hers)
    settings.ALLOWED_HOSTS = ["*"]
    assert "Set SHOP_URL" in page_of(client)
    assert "Set SHOP_URL" in page_of(client, ADD)


def test_it_is_reset_in_the_admin_and_by_command(stella: User, hers: Authenticator) -> None:
    root = log_in(make_staff("root"))
    page = page_of(root, f"/admin/auth/user/{stella.pk}/change/")
    assert re.search(r"Laptop: added \d{4}-\d\d-\d\d, never used", page)
    assert Passkey.objects.get().credential_id not in page
    form = {"action": "reset_second_factor", "_selected_action": [stella.pk]}
    assert root.post("/admin/auth/user/", form).status_code == 302
    assert not Passkey.objects.exists()
    assert not Session.objects.filter(user_id=stella.pk).exists()
    assert is_in(log_in(stella))
    add(at_home(stella), hers)
    out = StringIO()
    call_command("reset_second_factor", username="stella", stdout=out)
    assert out.getvalue() == "Second factor of stella removed.\n"
    assert (Passkey.objects.count(), RecoveryCodes.objects.count()) == (0, 0)


def test_only_superusers_see_the_factors_of_others(stella: User, hers: Authenticator) -> None:
    clerk = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_user"))
    page = page_of(log_in(clerk), f"/admin/auth/user/{stella.pk}/change/")
    assert "stella" in page
    assert "Laptop" not in page


def test_a_download_has_their_names_and_no_keys(stella: User, hers: Authenticator) -> None:
    exported = personal_data.exported(stella.pk)["passkeys"]
    assert isinstance(exported, list)
    assert [set(row) for row in exported] == [{"name", "created_at", "last_used_at"}]
    assert exported[0]["name"] == "Laptop"
    personal_data.erase(stella.pk)
    assert not Passkey.objects.exists()
