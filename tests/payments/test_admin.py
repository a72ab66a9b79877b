"""The breaker in the admin: who may force it, what is refused and what is shown."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import DatabaseError
from django.test import Client

from payments import breaker
from payments.models import CircuitBreaker
from tests.payments.support import Clock, fail
from tests.support import make_buyer, moved

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/payments/circuitbreaker/"
PAGE = f"{LIST}payments/change/"
OPEN = {"force_to": "open", "reason": "gateway's night shift", "minutes": "15"}
TRANSITION = 'retail_circuit_breaker_transitions_total{{breaker="payments",to="{}"}}'.format


@pytest.fixture(autouse=True)
def clock(clock: Clock) -> Clock:
    """Stop the clock at 13:55, with a breaker that has counted one failure."""
    clock.now = datetime(2030, 1, 1, 13, 55, tzinfo=UTC)
    fail(1)
    return clock


def staff(client: Client, name: str, *permissions: str) -> User:
    user = make_buyer(name)
    user.is_staff = True
    user.save()
    for action in permissions:
        user.user_permissions.add(Permission.objects.get(codename=f"{action}_circuitbreaker"))
    client.force_login(user)
    return user


@pytest.fixture
def anna(client: Client) -> User:
    return staff(client, "anna", "change")


def row() -> dict[str, Any]:
    return dict(CircuitBreaker.objects.values().get())


def messages_of(response: Any) -> list[str]:
    assert (response.status_code, response["Location"]) == (302, LIST)
    return [str(message) for message in get_messages(response.wsgi_request)]


def text_of(client: Client, page: str) -> str:
    """Return a page's text without tags."""
    response = client.get(page)
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def test_staff_with_permission_force_the_breaker_open(
    client: Client, anna: User, clock: Clock
) -> None:
    with moved() as changes:
        response = client.post(PAGE, {**OPEN, "reason": " gateway's \n night   shift "})
    assert messages_of(response) == [
        "Forced open until 14:10 UTC.",
        f'The circuit breaker “<a href="{PAGE}">payments: Open</a>” was changed successfully.',
    ]
    assert row() == {
        "name": "payments",
        "state": "open",
        "failures": 1,
        "opened_at": clock.now,
        "open_since": clock.now,
        "probe": "",
        "probe_until": None,
        "forced_state": "open",
        "forced_reason": "gateway's night shift",
        "forced_until": datetime(2030, 1, 1, 14, 10, tzinfo=UTC),
        "forced_by": "anna",
        "version": 2,
    }
    assert changes[TRANSITION("open")] == 1
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (anna, "payments")
    assert entry.get_change_message() == "Forced open for 15 min: gateway's night shift"


def test_staff_with_permission_force_it_closed_and_return_it_to_automatic(
    client: Client, anna: User
) -> None:
    messages_of(client.post(PAGE, {"force_to": "closed", "reason": "x" * 200, "minutes": "240"}))
    assert (row()["state"], row()["forced_state"], row()["forced_reason"]) == (
        *("closed", "closed"),
        "x" * 200,
    )
    assert (
        messages_of(client.post(PAGE, {"force_to": "automatic"}))[2]
        == "The breaker is automatic again."
    )
    assert (row()["state"], row()["failures"], row()["forced_state"]) == ("closed", 0, "")
    messages = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert messages == [f"Forced closed for 240 min: {'x' * 200}", "Returned to automatic."]


REFUSED = [
    ({"force_to": ""}, {"force_to": ["This field is required."]}),
    (
        {"force_to": "half_open"},
        {
            "force_to": [
                "Select a valid choice. half_open is not one of the available choices.",
            ]
        },
    ),
    ({"force_to": "automatic"}, {"force_to": ["The breaker is already automatic."]}),
    ({"reason": " \n "}, {"reason": ["Enter a reason."]}),
    (
        {"reason": "x" * 201},
        {"reason": ["Ensure this value has at most 200 characters (it has 201)."]},
    ),
    ({"reason": "a\0b"}, {"reason": ["Null characters are not allowed."]}),
    ({"minutes": ""}, {"minutes": ["Enter a duration."]}),
    ({"minutes": "0"}, {"minutes": ["Ensure this value is greater than or equal to 1."]}),
    ({"minutes": "241"}, {"minutes": ["Ensure this value is less than or equal to 240."]}),
    ({"minutes": "ten"}, {"minutes": ["Enter a whole number."]}),
    ({"minutes": "1.5"}, {"minutes": ["Enter a whole number."]}),
]


@pytest.mark.parametrize(("wrong", "errors"), REFUSED)
def test_an_invalid_form_is_shown_again_with_errors_and_changes_nothing(
    client: Client, anna: User, wrong: dict[str, str], errors: dict[str, list[str]]
) -> None:
    before = row()
    response = client.post(PAGE, {**OPEN, **wrong})
    assert response.status_code == 200
    assert dict(response.context["adminform"].errors) == errors
    assert row() == before
    assert not LogEntry.objects.exists()


def test_the_breakers_own_fields_cannot_be_edited(client: Client, anna: User) -> None:
    messages_of(client.post(PAGE, {**OPEN, "state": "closed", "failures": "9", "forced_by": "eve"}))
    assert (row()["state"], row()["failures"], row()["forced_by"]) == ("open", 1, "anna")


def test_view_permission_shows_no_form_and_changes_are_refused(client: Client) -> None:
    staff(client, "otto", "view")
    breaker.force(state="open", reason="night", minutes=10, by="anna", user_id=1)
    before = row()
    page = client.get(PAGE)
    assert page.status_code == 200
    assert "forced open until 14:05 UTC by anna: night" in page.content.decode()
    assert "force_to" not in page.content.decode()
    assert client.post(PAGE, OPEN).status_code == 403
    assert client.post(PAGE, {"force_to": "automatic"}).status_code == 403
    assert row() == before


def test_forcing_requires_a_csrf_token_and_permission(client: Client, anna: User) -> None:
    before = row()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(anna)
    assert strict.post(PAGE, OPEN).status_code == 403
    staff(client, "otto")
    assert client.post(PAGE, OPEN).status_code == 403
    client.force_login(make_buyer("customer"))
    assert client.post(PAGE, OPEN).status_code == 302
    assert row() == before


def test_a_breaker_that_is_not_in_use_cannot_be_forced(client: Client, anna: User) -> None:
    CircuitBreaker.objects.create(name="other")
    before = list(CircuitBreaker.objects.values())
    assert client.post(f"{LIST}other/change/", OPEN).status_code == 403
    assert client.get(f"{LIST}other/change/").status_code == 200
    assert list(CircuitBreaker.objects.values()) == before


def test_breakers_cannot_be_added_or_deleted(client: Client) -> None:
    staff(client, "otto", "add", "change", "delete", "view")
    before = row()
    for page in (f"{LIST}add/", f"{LIST}payments/delete/"):
        assert client.get(page).status_code == 403
        assert client.post(page, {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": "payments", "post": "yes"}
    client.post(LIST, action)
    assert row() == before


def test_the_reason_is_shown_escaped(client: Client, anna: User) -> None:
    messages_of(client.post(PAGE, {**OPEN, "minutes": "10", "reason": "<script>alert(1)</script>"}))
    expected = "forced open until 14:05 UTC by anna: &lt;script&gt;alert(1)&lt;/script&gt;"
    for page in (LIST, PAGE):
        assert expected in client.get(page).content.decode()
    for page in (LIST, PAGE, f"{LIST}payments/history/", "/admin/"):
        assert "<script>alert" not in client.get(page).content.decode()


def test_list_and_page_show_the_current_state(client: Client, anna: User, clock: Clock) -> None:
    assert "payments Closed no 1 - -" in text_of(client, LIST)
    messages_of(client.post(PAGE, OPEN))
    assert "Open forced open until 14:10 UTC by anna: gateway&#x27;s night shift" in text_of(
        client, LIST
    )
    clock.forward(15 * 60)
    assert "payments half-open no 1" in text_of(client, LIST)
    assert "half-open" in text_of(client, PAGE)
    assert row()["state"] == "open"  # viewing changes nothing
    again = client.post(PAGE, {"force_to": "automatic"})
    assert again.context["adminform"].errors == {"force_to": ["The breaker is already automatic."]}


def test_the_page_explains_what_each_choice_means_for_buyers(client: Client, anna: User) -> None:
    text = text_of(client, PAGE)
    for sentence in (
        "Open: nobody can pay.",
        "Closed: every order is charged, even if the gateway keeps failing.",
        "Automatic: the breaker opens and closes by itself.",
    ):
        assert text.count(sentence) == 1


def test_a_rolled_back_force_is_neither_counted_nor_logged(
    client: Client, anna: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def disk_full(*_: object) -> None:
        raise DatabaseError("disk full")

    monkeypatch.setattr("payments.admin.CircuitBreakerAdmin.log_change", disk_full)
    client.raise_request_exception = False
    before = row()
    with moved() as changes:
        assert client.post(PAGE, OPEN).status_code >= 500
    assert row() == before
    assert [name for name in changes if "breaker" in name] == []
    assert not [record for record in caplog.records if "event=breaker" in record.message]


def opened(client: Client) -> dict[str, str]:
    """Open the form; return what it remembers of the breaker, and what is chosen."""
    [seen] = re.findall(r'name="seen" value="([^"]*)"', client.get(PAGE).content.decode())
    return {**OPEN, "seen": seen}


def test_a_form_does_not_undo_what_somebody_has_forced_since_it_was_shown(
    client: Client, anna: User
) -> None:
    data = {**opened(client), "force_to": "closed"}
    breaker.force(state="open", reason="night", minutes=10, by="otto", user_id=1)
    before = row()
    response = client.post(PAGE, data)
    assert response.status_code == 200
    refusal = "The breaker is now forced open by otto until 14:05:00 UTC. Save again if you still"
    assert refusal in response.content.decode()
    assert row() == before
    [seen] = re.findall(r'name="seen" value="([^"]*)"', response.content.decode())
    messages_of(client.post(PAGE, {**data, "seen": seen}))
    assert (row()["forced_state"], row()["forced_by"]) == ("closed", "anna")


def test_nor_forces_again_what_was_returned_to_automatic(client: Client, anna: User) -> None:
    breaker.force(state="open", reason="night", minutes=10, by="otto", user_id=1)
    data = opened(client)
    breaker.unforce(user_id=1)
    response = client.post(PAGE, data)
    assert "The breaker is now automatic." in response.content.decode()
    assert row()["forced_state"] == ""


def test_what_the_breaker_does_by_itself_makes_no_form_stale(client: Client, anna: User) -> None:
    data = opened(client)
    fail(1)
    messages_of(client.post(PAGE, data))
    assert row()["forced_state"] == "open"
