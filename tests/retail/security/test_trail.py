"""Each log-in and each change that matters leaves a row, a line and a count."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.tokens import default_token_generator
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from payments.services import breaker_force, breaker_unforce
from products.models import Category
from retail.models import SecurityEvent
from retail.observability.prometheus.catalogue import SECURITY_EVENTS
from retail.security import trail
from retail.tasks import prune_security_events
from tests.support import make_buyer, moved

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.retail.conftest import Lines

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("trusted_proxy")]
PASSWORD = "correct-horse-battery"
NEW = "another-horse-battery"
ADDRESS = "203.0.113.7"


@pytest.fixture
def bea() -> User:
    return make_buyer("bea")


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root", "root@example.com", PASSWORD)


@pytest.fixture
def visitor() -> Client:
    return Client(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=ADDRESS, HTTP_X_REQUEST_ID="r1")


@pytest.fixture
def admin(root: User, visitor: Client) -> Client:
    visitor.force_login(root, "accounts.backends.AccountBackend")
    SecurityEvent.objects.all().delete()
    return visitor


def rows() -> list[tuple[Any, ...]]:
    """Return event, outcome, user, subject and detail of each row."""
    return list(
        SecurityEvent.objects.order_by("pk").values_list(
            "event", "outcome", "user_id", "subject", "detail"
        )
    )


def test_a_log_in_and_a_log_out(bea: User, visitor: Client, lines: Lines) -> None:
    SecurityEvent.objects.all().delete()
    with moved() as changes:
        visitor.post("/accounts/login/", {"username": "bea", "password": PASSWORD})
        visitor.post("/accounts/logout/")
    assert rows() == [
        ("log_in", "succeeded", bea.pk, "", ""),
        ("log_out", "succeeded", bea.pk, "", ""),
    ]
    row = SecurityEvent.objects.earliest("pk")
    assert (row.client, row.request_id) == (ADDRESS, "r1")
    assert timezone.now() - row.at < timedelta(minutes=1)
    name = "retail_security_events_total"
    assert {key: value for key, value in changes.items() if name in key} == {
        f'{name}{{event="log_in"}}': 1,
        f'{name}{{event="log_out"}}': 1,
    }
    [line] = [line for line in lines() if line["message"] == "event=security.log_in"]
    assert (line["level"], line["logger"], line["request_id"]) == ("INFO", "retail.security", "r1")
    assert line["extra"] == {
        "outcome": "succeeded",
        "user_id": bea.pk,
        "subject": "",
        "detail": "",
        "client": ADDRESS,
        "kept": True,
    }


@pytest.mark.parametrize("page", ["/accounts/login/", "/admin/login/"])
@pytest.mark.parametrize("name", ["bea", "nobody", "", "\x00", "x" * 300])
def test_a_failed_log_in(bea: User, visitor: Client, lines: Lines, page: str, name: str) -> None:
    SecurityEvent.objects.all().delete()
    visitor.post(page, {"username": name, "password": "hunter2-secret"})
    expected = [("log_in", "failed", bea.pk if name == "bea" else None, "", "")]
    assert rows() == (expected if name.strip("\x00") else [])
    assert "hunter2" not in json.dumps(lines())


def test_guesses_beyond_the_limit_are_refused_and_leave_no_row(
    bea: User, visitor: Client, settings: Settings
) -> None:
    settings.LOGIN_FAILURE_LIMIT = 2
    SecurityEvent.objects.all().delete()
    for password, status in (("wrong", 400), ("wrong", 400), ("wrong", 429), (PASSWORD, 429)):
        form = {"username": "bea", "password": password}
        assert visitor.post("/accounts/login/", form).status_code == status
    assert rows() == [("log_in", "failed", bea.pk, "", "")] * 2


def test_a_registration(visitor: Client) -> None:
    form = {"username": "ada", "email": "a@example.com", "password1": NEW, "password2": NEW}
    visitor.post("/accounts/register/", form)
    ada = User.objects.get(username="ada")
    assert rows() == [
        ("account_created", "succeeded", None, f"auth.user {ada.pk}", ""),
        ("log_in", "succeeded", ada.pk, "", ""),
    ]


def test_a_reset_of_a_password(bea: User, visitor: Client, lines: Lines) -> None:
    SecurityEvent.objects.all().delete()
    subject = f"auth.user {bea.pk}"
    visitor.post("/accounts/password-reset/", {"email": "bea@example.com"})
    visitor.post("/accounts/password-reset/", {"email": "nobody@example.com"})
    assert rows() == [("reset_requested", "succeeded", None, subject, "")]
    uid, token = urlsafe_base64_encode(force_bytes(bea.pk)), default_token_generator.make_token(bea)
    page = visitor.get(f"/accounts/password-reset/{uid}/{token}/").headers["Location"]
    visitor.post(page, {"new_password1": NEW, "new_password2": "different"})
    assert len(rows()) == 1
    visitor.post(page, {"new_password1": NEW, "new_password2": NEW})
    assert rows()[1:] == [
        ("reset_used", "succeeded", None, subject, ""),
        ("password_changed", "succeeded", None, subject, ""),
    ]
    assert token not in json.dumps(lines())


def test_a_password_that_is_only_hashed_anew_is_not_changed(bea: User, settings: Settings) -> None:
    SecurityEvent.objects.all().delete()
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    before = bea.password
    assert bea.check_password(PASSWORD)
    assert User.objects.get(pk=bea.pk).password != before
    assert rows() == []


def test_changes_of_an_account(bea: User, root: User) -> None:
    SecurityEvent.objects.all().delete()
    subject = f"auth.user {bea.pk}"
    bea.first_name = "Bea"
    bea.save()
    assert rows() == []
    bea.email, bea.is_staff, bea.is_active = "b@example.com", True, False
    bea.save()
    bea.set_unusable_password()
    bea.save(update_fields=["password"])
    group = Group.objects.create(name="crew")
    bea.groups.add(group)
    bea.groups.clear()
    permission = Permission.objects.earliest("pk")
    bea.user_permissions.set([permission])
    group.permissions.set([permission])
    group.permissions.set([permission])  # as it is
    assert [row[:1] + row[3:] for row in rows()] == [
        ("email_changed", subject, ""),
        ("rights_changed", subject, "is_active is_staff"),
        ("password_changed", subject, ""),
        ("rights_changed", subject, f"groups add {group.pk}"),
        ("rights_changed", subject, "groups clear"),
        ("rights_changed", subject, f"user_permissions add {permission.pk}"),
        ("rights_changed", f"auth.group {group.pk}", f"permissions add {permission.pk}"),
    ]


def test_what_staff_do_in_the_admin(admin: Client, root: User, bea: User) -> None:
    SecurityEvent.objects.all().delete()
    page = "/admin/products/category/"
    shelf = {"name": "Shelf", "slug": "shelf"}
    assert admin.post(f"{page}add/", shelf).status_code == 302
    pk = Category.objects.get().pk
    assert admin.post(f"{page}{pk}/change/", {**shelf, "name": "Board"}).status_code == 302
    other = Category.objects.create(name="Other", slug="other").pk
    form = {"action": "delete_selected", "_selected_action": [pk, other], "post": "yes"}
    assert admin.post(page, form).status_code == 302
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert admin.post(f"/admin/auth/user/{bea.pk}/password/", form).status_code == 302
    who = ("succeeded", root.pk)
    found = [row[:4] for row in rows()]
    assert found[:2] == [
        ("admin_added", *who, f"products.category {pk}"),
        ("admin_changed", *who, f"products.category {pk}"),
    ]
    assert set(found[2:4]) == {
        ("admin_deleted", *who, f"products.category {each}") for each in (pk, other)
    }
    assert found[4:] == [
        ("password_changed", *who, f"auth.user {bea.pk}"),
        ("admin_changed", *who, f"auth.user {bea.pk}"),
    ]


def test_a_refused_form_of_the_admin_leaves_no_trace(admin: Client) -> None:
    assert admin.post("/admin/products/category/add/", {"name": ""}).status_code == 200
    assert rows() == []


def test_a_change_that_is_rolled_back_takes_its_row_along(root: User) -> None:
    SecurityEvent.objects.all().delete()
    with transaction.atomic():
        trail.record("admin_changed", user_id=root.pk)
        transaction.set_rollback(True)
    assert rows() == []


def test_a_forced_breaker(root: User, django_capture_on_commit_callbacks: Any) -> None:
    SecurityEvent.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        breaker_force(state="open", reason="drill", minutes=5, by="root", user_id=root.pk)
    with django_capture_on_commit_callbacks(execute=True):
        breaker_unforce(user_id=root.pk)
    assert [(row[0], row[2], row[4]) for row in rows()] == [
        ("breaker_forced", root.pk, "open"),
        ("breaker_released", root.pk, "half_open"),
    ]


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no row be written."""

    def refuse(*_args: object, **_fields: object) -> None:
        raise DatabaseError("no space left")

    monkeypatch.setattr(SecurityEvent.objects, "create", refuse)


@pytest.mark.usefixtures("unwritable")
def test_without_its_row_a_log_in_succeeds_and_the_line_says_so(
    bea: User, visitor: Client, lines: Lines
) -> None:
    with moved() as changes:
        response = visitor.post("/accounts/login/", {"username": "bea", "password": PASSWORD})
    assert response.status_code == 302
    [line] = [line for line in lines() if line["message"] == "event=security.log_in"]
    assert (line["level"], line["extra"]["kept"]) == ("ERROR", False)
    assert line["extra"]["user_id"] == bea.pk
    assert changes['retail_telemetry_errors_total{sink="security"}'] == 1
    assert changes['retail_security_events_total{event="log_in"}'] == 1


def test_the_trail_is_read_in_the_admin_by_those_with_the_permission(bea: User) -> None:
    bea.is_staff = True
    bea.save()
    client = Client()
    client.force_login(bea, "accounts.backends.AccountBackend")
    page = "/admin/retail/securityevent/"
    assert client.get(page).status_code == 403
    bea.user_permissions.set(Permission.objects.filter(codename__endswith="securityevent"))
    found = client.get(page)
    assert found.status_code == 200
    assert "rights_changed" in found.content.decode()


def test_events_are_found_by_user_client_and_subject(admin: Client) -> None:
    for user in (7, 77):
        client = f"203.0.113.{user}"
        fields = {"event": "log_in", "outcome": "failed", "subject": f"auth.user {user}"}
        SecurityEvent.objects.create(user_id=user, client=client, **fields)
    for query in ("7", "203.0.113.7", '"auth.user 7"'):
        found = admin.get("/admin/retail/securityevent/", {"q": query})
        assert [row.user_id for row in found.context["cl"].result_list] == [7], query


def test_nobody_adds_changes_or_deletes_a_row_in_the_admin(admin: Client) -> None:
    trail.record("log_in", user_id=1)
    pk = SecurityEvent.objects.get().pk
    page = "/admin/retail/securityevent/"
    action = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
    for path, form in [
        (f"{page}add/", {}),
        (f"{page}{pk}/change/", {"event": "log_out"}),
        (f"{page}{pk}/delete/", {"post": "yes"}),
        (page, action),
    ]:
        admin.post(path, form)
    [row] = rows()
    assert row[0] == "log_in"
    assert "delete_selected" not in admin.get(page).content.decode()


def test_rows_are_pruned_by_age(settings: Settings) -> None:
    settings.SECURITY_KEEP_DAYS = 10
    now = timezone.now()
    for days in (9, 11):
        SecurityEvent.objects.create(
            event="log_in", outcome="failed", at=now - timedelta(days=days)
        )
    assert prune_security_events() == 1
    assert SecurityEvent.objects.get().at == now - timedelta(days=9)


def test_each_event_is_documented_and_recorded() -> None:
    root = Path(__file__).parents[3]
    page = (root / "docs" / "logging.md").read_text(encoding="utf-8")
    assert [name for name in SECURITY_EVENTS if f"`security.{name}`" not in page] == []
    code = "".join(path.read_text(encoding="utf-8") for path in (root / "app").rglob("*.py"))
    assert set(re.findall(r'\brecord\(\s*"(\w+)"', code)) == set(SECURITY_EVENTS)
