"""Only superusers decide who may do what; everyone else tries each form of the admin."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from accounts.roles import ROLES, Role, codes, create_groups, table
from tests.fuzz.forms import Form, forms_of
from tests.fuzz.routes import routes
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db
FORM = "application/x-www-form-urlencoded"
EVERYTHING = "everything"  # staff with every permission, but no superuser
NAMES = [*(role.name for role in ROLES), EVERYTHING]


@pytest.fixture(autouse=True)
def world() -> None:
    """Create the permissions and groups, which tests with transactions delete, and some rows."""
    for config in apps.get_app_configs():
        create_permissions(config, verbosity=0)
    create_groups()
    User.objects.create_superuser("root", "root@example.com", "root-password-1")
    User.objects.create_user("colleague", "c@example.com", "colleague-password-1", is_staff=True)
    make_buyer("customer")
    make_product()


def member(name: str) -> User:
    """Create a member of the staff with the permissions of a role, or all of them."""
    user = User.objects.create_user("me", "me@example.com", "my-password-123", is_staff=True)
    if name == EVERYTHING:
        user.user_permissions.set(Permission.objects.all())
    else:
        user.groups.set([Group.objects.get(name=name)])
    return user


def rights() -> list[Any]:
    """Return who may do what, and how those who may do something log in."""
    staff = User.objects.filter(is_staff=True).order_by("pk")
    return [
        list(staff.values_list("username", "password", "email", "is_superuser", "is_active")),
        sorted(staff.values_list("username", "groups__name", "user_permissions__codename")),
        sorted(Group.objects.values_list("name", "permissions__codename")),
        User.objects.filter(is_staff=False, user_permissions__isnull=False).exists(),
    ]


def paths() -> Iterator[str]:
    """Yield a path for each row of each route of the admin."""
    rng = Random(1)  # noqa: S311 - the same each time
    for route in routes():
        if route.label != "admin" or "logout" in route.template:
            continue
        keys = [""]
        if route.parameters and (model := route.model) is not None:
            keys = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)[:8]]
        for key in keys:
            values = {name: key or rng.choice(("1", "auth")) for name in route.parameters}
            yield route.path(values)


def grab() -> list[tuple[str, Any]]:
    """Return fields that would give all rights to an account or a group."""
    everything = list(Permission.objects.values_list("pk", flat=True))
    groups = list(Group.objects.values_list("pk", flat=True))
    return [
        *(("is_superuser", "on"), ("is_staff", "on"), ("is_active", "on"), ("email", "me@evil.eu")),
        *(("user_permissions", pk) for pk in everything),
        *(("permissions", pk) for pk in everything),
        *(("groups", pk) for pk in groups),
        *(("password1", "taken-over-123"), ("password2", "taken-over-123")),
        *(("usable_password", "true"), ("set-password", "1"), ("post", "yes"), ("name", "new")),
    ]


def body_of(form: Form) -> str:
    """Return a form as it was served, with what would give rights added."""
    stolen = grab()
    names = {name for name, _ in stolen}
    pairs: list[tuple[str, Any]] = []
    for each in form.inputs:
        if each.name == "_selected_action":
            pairs += [(each.name, choice) for choice in each.choices]
        elif each.name == "action":
            pairs += [(each.name, choice) for choice in each.choices if choice][:1]
        elif each.name not in names:
            pairs += [(each.name, value) for value in each.values]
    return urlencode([*pairs, *stolen, *form.buttons[:1]])


@pytest.mark.parametrize(
    ("name", "popup"), [*((name, "") for name in NAMES), (EVERYTHING, "?_popup=1")]
)
def test_no_form_of_the_admin_gives_rights(name: str, popup: str) -> None:
    me = member(name)
    client = Client()
    client.force_login(me, "accounts.backends.AccountBackend")
    before = rights()
    sent = 0
    for path in list(paths()):
        if path.startswith("/admin/password_change"):  # everyone changes their own
            continue
        response = client.get(path + popup)
        forms: list[Form] = []
        if "html" in response.headers.get("Content-Type", ""):
            forms = forms_of(response.content.decode(), "me", path + popup)
        forms = [form for form in forms if "/logout/" not in form.action]
        # Also what nobody has shown: a client sends what it likes.
        for form in [*forms, Form("me", path + popup)]:
            sent += 1
            client.post(form.action, body_of(form), content_type=FORM)
            assert rights() == before, (form.action, form.inputs)
    assert sent > 50


def test_a_superuser_gives_rights() -> None:
    client = Client()
    client.force_login(User.objects.get(username="root"), "accounts.backends.AccountBackend")
    pages = {
        f"/admin/auth/user/{User.objects.get(username='colleague').pk}/change/": "is_superuser",
        f"/admin/auth/group/{Group.objects.get(name='support').pk}/change/": "permissions",
    }
    for page, field in pages.items():
        [form] = [
            form
            for form in forms_of(client.get(page).content.decode(), "root", page)
            if form.action == page
        ]
        assert field in {each.name for each in form.inputs}
        before = rights()
        client.post(page, body_of(form), content_type=FORM)
        assert rights() != before


def test_support_helps_customers_but_not_staff() -> None:
    client = Client()
    client.force_login(member("support"), "accounts.backends.AccountBackend")
    customer, colleague = (User.objects.get(username=name) for name in ("customer", "colleague"))
    page = f"/admin/auth/user/{customer.pk}/change/"
    [form] = [
        form
        for form in forms_of(client.get(page).content.decode(), "me", page)
        if form.action == page
    ]
    pairs = [(each.name, value) for each in form.inputs for value in each.values]
    pairs = [(name, "new@example.com" if name == "email" else value) for name, value in pairs]
    assert client.post(page, urlencode(pairs), content_type=FORM).status_code == 302
    customer.refresh_from_db()
    assert customer.email == "new@example.com"
    assert client.post(f"/admin/auth/user/{colleague.pk}/change/", {}).status_code == 403
    assert client.get(f"/admin/auth/user/{colleague.pk}/password/").status_code == 403
    assert client.get(f"/admin/auth/user/{customer.pk}/password/").status_code == 200


@pytest.mark.parametrize("role", ROLES, ids=[role.name for role in ROLES])
def test_a_group_has_exactly_the_permissions_of_its_role(role: Role) -> None:
    group = Group.objects.get(name=role.name)
    group.permissions.clear()
    create_groups()
    found = {f"{each.content_type.app_label}.{each.codename}" for each in group.permissions.all()}
    assert found == codes(role)


def test_other_groups_are_left_alone() -> None:
    mine = Group.objects.create(name="mine")
    mine.permissions.set(Permission.objects.all()[:3])
    create_groups()
    assert mine.permissions.count() == 3


def test_the_page_has_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "security.md"
    assert table() in page.read_text(encoding="utf-8")


def test_groups_get_exactly_their_permissions_again_and_others_are_left_alone() -> None:
    own = Group.objects.create(name="own")
    extra = Permission.objects.get(codename="delete_user")
    for group in Group.objects.all():
        group.permissions.set([extra])
    create_groups()
    assert {group.name for group in Group.objects.filter(permissions=extra)} == {"own"}
    assert own.permissions.get() == extra
    for role in ROLES:
        kept = Group.objects.get(name=role.name).permissions
        names = kept.values_list("content_type__app_label", "codename")
        assert {f"{app}.{code}" for app, code in names} == codes(role)
