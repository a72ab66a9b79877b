"""Staff with a second factor log in with it: set up, codes, recovery codes, help for the lost."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import RecoveryCodes, Session
from accounts.second_factor import app_add
from retail.models import SecurityEvent
from tests.accounts.factors import (
    BASE,
    CHECK,
    KEY,
    PASSWORD,
    SET_UP,
    STEP,
    Clock,
    enrol,
    is_in,
    log_in,
    make_staff,
    secret_of,
)
from tests.support import make_buyer, moved

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
THROTTLED = 'retail_throttled_requests_total{scope="second_factor"}'
WRONG = "000000"


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retail.throttling.time.time", lambda: 3000.0)


@pytest.fixture
def recovery(stella: User, clock: Clock) -> list[str]:
    """Give stella a second factor; return her recovery codes."""
    return enrol(stella, clock)


def give(client: Client, code: str, **more: str) -> int:
    return client.post(CHECK, {"code": code, **more}).status_code


def verified(user: User, clock: Clock) -> Client:
    client = log_in(user)
    assert give(client, clock.code()) == 302
    clock.now += 2 * STEP
    return client


def no_waiting() -> None:
    """Let django-otp's waiting times pass."""
    long_ago = timezone.now() - timedelta(days=1)
    for model in (TOTPDevice, RecoveryCodes):
        model.objects.update(throttling_failure_timestamp=long_ago)


def events() -> list[tuple[str, str, str]]:
    return list(
        SecurityEvent.objects.filter(event__startswith="factor")
        .order_by("pk")
        .values_list("event", "outcome", "detail")
    )


def test_staff_without_a_second_factor_are_not_asked_in_development(stella: User) -> None:
    assert is_in(log_in(stella))


def set_up(client: Client, clock: Clock, **changes: str) -> Any:
    key, sent = secret_of(client.get(SET_UP).content.decode())
    form = {"key": sent, "code": clock.code(key), "password": PASSWORD, **changes}
    return client.post(SET_UP, form)


def test_an_app_is_set_up_and_then_asked_for(stella: User, clock: Clock) -> None:
    here, there = log_in(stella), log_in(stella)
    before = here.cookies["sessionid"].value
    answer = set_up(here, clock)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    codes = re.findall(r"<code>([a-z2-7]{6}(?:-[a-z2-7]{6}){3})</code>", text)
    assert len(set(codes)) == 10
    assert here.cookies["sessionid"].value != before
    assert is_in(here)
    assert there.get("/admin/")["Location"].startswith("/admin/login/")  # it was ended
    device = TOTPDevice.objects.get()
    assert (device.user, device.confirmed) == (stella, True)
    assert events() == [
        ("factor_added", "succeeded", "authenticator app"),
        ("factor_added", "succeeded", "recovery codes"),
    ]
    later = log_in(stella)
    assert give(later, clock.code(device.key)) == 400  # it was used to set up the app
    no_waiting()
    clock.now += 2 * STEP
    assert not is_in(later)
    assert give(later, clock.code(device.key), next="/metrics/dashboard/") == 302
    assert is_in(later)
    assert events()[2:] == [
        ("factor_used", outcome, "authenticator app") for outcome in ("failed", "succeeded")
    ]


def test_a_page_to_go_on_to_is_an_address_and_no_name_of_a_view(stella: User) -> None:
    for page in ("-", "no_such_view"):
        answer = log_in(stella).get("/accounts/second-factor/check/", {"next": page})
        assert (answer.status_code, answer["Location"]) == (302, page)


def test_the_page_shows_the_secret_as_an_image_and_stores_nothing(
    stella: User, clock: Clock
) -> None:
    page = log_in(stella).get(SET_UP)
    assert re.search(
        r'<img class="qr-code" src="data:image/svg\+xml[^"]+" alt=', page.content.decode()
    )
    assert not TOTPDevice.objects.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": WRONG}, "This code is not right"),
        ({"code": "x"}, "This code is not right"),
        ({"code": "٣٣٣٣٣٣"}, "This code is not right"),
        ({"password": "wrong"}, "That isn&#x27;t your password."),
        ({"key": "forged"}, "This page was open for too long"),
        ({"key": ""}, "Part of the form is missing"),
    ],
)
def test_nothing_is_set_up_with_a_wrong_entry(
    stella: User, clock: Clock, changes: dict[str, str], message: str
) -> None:
    client = log_in(stella)
    answer = set_up(client, clock, **changes)
    assert answer.status_code == 400
    assert message in answer.content.decode()
    assert not TOTPDevice.objects.exists()
    assert is_in(client)


@pytest.mark.parametrize(("steps", "added"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_be_half_a_minute_off(
    stella: User, clock: Clock, steps: int, added: bool
) -> None:
    codes = app_add(user=stella, key=KEY, code=clock.code(steps=steps), may_replace=False)
    assert TOTPDevice.objects.exists() is (codes is not None) is added


def test_blanks_around_a_password_belong_to_it(stella: User, clock: Clock) -> None:
    client = log_in(stella)
    stella.set_password(" with-blanks-around ")
    stella.save()
    client.force_login(stella)
    assert set_up(client, clock, password=" with-blanks-around ").status_code == 200
    assert TOTPDevice.objects.get().user == stella


def test_a_password_alone_adds_no_app_beside_another(stella: User, clock: Clock) -> None:
    """Two forms may be sent at once: the second one sees the first one's app only when locked."""
    assert app_add(user=stella, key="00" * 20, code=clock.code("00" * 20), may_replace=False)
    assert app_add(user=stella, key=KEY, code=clock.code(), may_replace=False) is None
    assert TOTPDevice.objects.get().key == "00" * 20


def test_a_secret_of_somebody_elses_page_is_refused(stella: User, clock: Clock) -> None:
    key, sent = secret_of(log_in(make_staff("otto")).get(SET_UP).content.decode())
    assert set_up(log_in(stella), clock, key=sent, code=clock.code(key)).status_code == 400


def test_customers_set_up_none(clock: Clock) -> None:
    client = log_in(make_buyer("bea"))
    assert client.get(SET_UP).status_code == 403
    assert client.get(BASE).status_code == 403
    assert "second-factor" not in client.get("/accounts/profile/").content.decode()


@pytest.mark.usefixtures("recovery")
def test_a_password_alone_neither_replaces_nor_removes_the_factor(
    stella: User, clock: Clock
) -> None:
    client = log_in(stella)
    for page in (SET_UP, BASE, f"{BASE}recovery-codes/", f"{BASE}remove/", "/accounts/sessions/"):
        for answer in (client.get(page), client.post(page, {"password": PASSWORD})):
            assert answer.status_code == 302
            assert answer["Location"].startswith(CHECK)
    # A session from before the factor was added, as if it had not been ended.
    session = client.session
    del session["second_factor"]
    session.save()
    for page in (SET_UP, f"{BASE}recovery-codes/", f"{BASE}remove/"):
        assert client.post(page, {"password": PASSWORD})["Location"] == CHECK
        session.save()
    assert TOTPDevice.objects.get().key == KEY
    assert RecoveryCodes.objects.exists()


@pytest.mark.usefixtures("recovery")
def test_a_code_is_good_for_once_and_for_its_time(stella: User, clock: Clock) -> None:
    first, second = log_in(stella), log_in(stella)
    assert give(second, clock.code(steps=-2)) == 400  # too old
    no_waiting()
    code = clock.code()
    assert give(first, code) == 302
    assert give(second, code) == 400
    no_waiting()
    assert not is_in(second)
    assert give(second, clock.code(steps=1)) == 302
    assert [event[1] for event in events()[2:]] == ["failed", "succeeded", "failed", "succeeded"]


def test_each_recovery_code_works_once(stella: User, clock: Clock, recovery: list[str]) -> None:
    first, second = log_in(stella), log_in(stella)
    assert give(first, recovery[3].upper().replace("-", " ")) == 302
    assert "Recovery codes left: 9." in first.get(BASE).content.decode()
    assert give(second, recovery[3]) == 400
    no_waiting()
    assert give(second, recovery[4]) == 302
    assert (is_in(first), is_in(second)) == (True, True)
    stored = str(RecoveryCodes.objects.values().get())
    assert not any(code.replace("-", "") in stored.replace("-", "") for code in recovery)


@pytest.mark.usefixtures("recovery")
def test_codes_of_others_are_wrong(stella: User, clock: Clock) -> None:
    otto = make_staff("otto")
    TOTPDevice.objects.create(user=otto, name="app", key="00" * 20)
    assert give(log_in(otto), clock.code()) == 400


@pytest.mark.usefixtures("recovery")
def test_guessing_waits_longer_after_each_wrong_code(
    stella: User, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = log_in(stella)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    with moved() as changes:
        assert give(client, WRONG) == 400
        answer = client.post(CHECK, {"code": clock.code()})
    assert (answer.status_code, answer["Retry-After"]) == (429, "1")
    assert changes[THROTTLED] == 1
    assert changes['retail_security_events_total{event="factor_used_failed"}'] == 1
    assert TOTPDevice.objects.get().throttling_failure_count == 1


@pytest.mark.usefixtures("recovery")
def test_a_client_has_few_attempts(stella: User, clock: Clock, settings: Settings) -> None:
    settings.LOGIN_FAILURE_LIMIT = 3
    statuses = []
    for _ in range(4):
        statuses.append(give(log_in(stella), WRONG))
        no_waiting()
    assert statuses == [400, 400, 400, 429]
    elsewhere = log_in(stella)
    elsewhere.defaults["REMOTE_ADDR"] = "198.51.100.2"
    assert give(elsewhere, clock.code()) == 302


@pytest.mark.usefixtures("recovery")
def test_right_codes_are_not_counted(stella: User, clock: Clock, settings: Settings) -> None:
    settings.LOGIN_FAILURE_LIMIT = 1
    for _ in range(3):
        verified(stella, clock)


@pytest.mark.usefixtures("recovery")
def test_the_app_is_replaced_after_a_check(stella: User, clock: Clock) -> None:
    client = verified(stella, clock)
    assert set_up(client, clock).status_code == 200
    assert TOTPDevice.objects.get().key != KEY
    clock.now += 2 * STEP
    assert give(log_in(stella), clock.code()) == 400


def test_recovery_codes_are_replaced(stella: User, clock: Clock, recovery: list[str]) -> None:
    client = verified(stella, clock)
    page = f"{BASE}recovery-codes/"
    assert client.post(page, {"password": "wrong"}).status_code == 400
    locked = {"throttling_failure_count": 9, "throttling_failure_timestamp": timezone.now()}
    RecoveryCodes.objects.update(**locked)
    text = client.post(page, {"password": PASSWORD}).content.decode()
    codes = re.findall(r"<code>([a-z2-7-]{27})</code>", text)
    assert give(log_in(stella), recovery[0]) == 400  # it does not wait for the earlier failures
    assert "<dt>Recovery codes left</dt><dd>10</dd>" in client.get(BASE).content.decode()
    no_waiting()
    assert give(log_in(stella), codes[0]) == 302


@pytest.mark.usefixtures("recovery")
def test_the_factor_is_removed(stella: User, clock: Clock, settings: Settings) -> None:
    client, other = verified(stella, clock), verified(stella, clock)
    settings.STAFF_MFA = True
    assert client.post(f"{BASE}remove/", {"password": PASSWORD}).status_code == 403
    settings.STAFF_MFA = False
    assert client.post(f"{BASE}remove/", {"password": PASSWORD}).status_code == 302
    assert (is_in(client), is_in(other)) == (True, False)
    assert is_in(log_in(stella))
    assert events()[-1] == ("factor_removed", "succeeded", "authenticator app")


@pytest.mark.usefixtures("recovery")
def test_superusers_reset_it_in_the_admin(stella: User, clock: Clock) -> None:
    form = {"action": "reset_second_factor", "_selected_action": [stella.pk]}
    page, hers = "/admin/auth/user/", verified(stella, clock)
    clerk = User.objects.create_user("clerk", password=PASSWORD, is_staff=True)
    clerk.groups.set([])
    assert log_in(clerk).post(page, form).status_code == 403
    assert TOTPDevice.objects.exists()
    root = make_staff("root")
    assert log_in(root).post(page, form).status_code == 302
    assert not TOTPDevice.objects.exists()
    assert not RecoveryCodes.objects.exists()
    assert not Session.objects.filter(user_id=stella.pk).exists()
    assert not is_in(hers)
    event = SecurityEvent.objects.get(event="factor_removed")
    assert (event.user_id, event.subject) == (root.pk, f"auth.user {stella.pk}")


@pytest.mark.usefixtures("recovery")
def test_the_command_lets_the_last_superuser_in(stella: User, clock: Clock) -> None:
    client = verified(stella, clock)
    out = StringIO()
    call_command("reset_second_factor", username="stella", stdout=out)
    call_command("reset_second_factor", username="stella", stdout=out)
    assert out.getvalue().splitlines() == ["Second factor of stella removed.", "stella had none."]
    assert not is_in(client)
    assert is_in(log_in(stella))
    with pytest.raises(CommandError, match="no user nobody"):
        call_command("reset_second_factor", username="nobody")


@pytest.mark.usefixtures("recovery")
def test_the_admin_shows_no_secrets(stella: User, clock: Clock) -> None:
    client = verified(stella, clock)
    assert "otp" not in client.get("/admin/").content.decode().lower()
    assert client.get("/admin/otp_totp/totpdevice/").status_code == 404
    delete = client.get(f"/admin/auth/user/{make_buyer().pk}/delete/")
    assert delete.status_code == 200
