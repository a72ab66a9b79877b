"""Two people edit one row: neither undoes what the other has changed, on any admin page."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import models
from django.test import RequestFactory
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import UserProfile
from partner_feeds.models import Partner
from products.models import Category, Product
from tests.fuzz.forms import Form, forms_of
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

Data = dict[str, list[str]]
DAYS = [datetime(2030, 1, day, 10, 30, 15, 123456, tzinfo=UTC) for day in (1, 2, 3)]


def _product() -> Product:
    first, _, last = DAYS
    times = {"flash_starts_at": first, "flash_ends_at": last.replace(year=2032)}
    sale: dict[str, Any] = {"flash_price": 5, **times}
    return make_product(description="One.\nTwo. ", **sale)


def _user() -> User:
    user = make_buyer("bea")
    user.groups.add(Group.objects.create(name="Clerks"))
    return user


# How to create a row of each model that the admin can edit. A new admin needs a line here.
ROWS: dict[str, Callable[[], models.Model]] = {
    "auth.Group": lambda: Group.objects.create(name="Clerks"),
    "auth.User": _user,
    "accounts.UserProfile": lambda: UserProfile.objects.create(
        user=make_buyer(), full_name="Bea", address="1 Street\r\nTown"
    ),
    "products.Category": lambda: Category.objects.create(name="Shelf", slug="shelf"),
    "products.Product": _product,
    "django_q.OrmQ": lambda: OrmQ.objects.create(key="k", payload="p", lock=timezone.now()),
    "partner_feeds.Partner": lambda: Partner.objects.create(
        name="Acme",
        slug="acme",
        category=Category.objects.create(name="Pans", slug="pans"),
        address="https://acme.example/feed",
    ),
}
# Nothing of these rows is in a form: libraries' read-only pages, and the breaker's own form, which
# is tested in tests/payments/test_forcing.py.
WITHOUT_FIELDS = {
    *("django_q.Success", "django_q.Failure", "payments.CircuitBreaker"),
}
IMAGES = ("products/olive-tree.svg", "products/stoneware-teapot.svg")


def editable() -> set[str]:
    """Return the labels of all models whose rows can be changed in the admin."""
    request = RequestFactory().get("/")
    request.user = User(is_active=True, is_staff=True, is_superuser=True)
    return {
        model._meta.label
        for model, page in admin.site._registry.items()
        if page.has_change_permission(request)
    }


def test_each_model_that_can_be_edited_is_tested_below() -> None:
    assert editable() == ROWS.keys() | WITHOUT_FIELDS


@pytest.mark.parametrize("label", sorted(WITHOUT_FIELDS))
def test_what_is_not_tested_has_no_fields(label: str) -> None:
    [page] = [page for model, page in admin.site._registry.items() if model._meta.label == label]
    request = RequestFactory().get("/")
    request.user = User(is_active=True, is_staff=True, is_superuser=True)
    form = page.get_form(request, page.model(), change=True)
    assert not form.base_fields.keys() & {field.name for field in page.model._meta.fields}


# Two values of fields that do not take any text.
CHOSEN: dict[str, tuple[str, str]] = {
    "image": IMAGES,
    "format": ("tsv", "json"),
    "mapping": ("google", "shopify"),
    "encoding": ("cp1252", "utf-8"),
    "decimal_sign": (",", "."),
    "delimiter": (";", "|"),
    "currency_symbol": ("EUR", "$"),
    "absent": ("sold_out", "keep"),
    "address": ("https://new-0.example/feed", "https://new-1.example/feed"),
}


def values(field: Any, number: int) -> tuple[Any, list[tuple[str, str]]]:
    """Return one of two values of a field, as in the database and as (suffix, text) in a form."""
    if field.many_to_many or field.is_relation:
        row = _related(field.related_model, number)
        return row.pk, [("", str(row.pk))]
    if isinstance(field, models.BooleanField):
        return bool(number), [("", "on")] if number else []
    if isinstance(field, models.DateTimeField):
        year = 2031 if field.name.endswith("ends_at") else 2030
        day = DAYS[number + 1].replace(microsecond=0, year=year)
        return day, [("_0", day.strftime("%d/%m/%Y")), ("_1", day.strftime("%H:%M:%S"))]
    value, text = _single(field, number)
    return value, [("", text)]


def _single(field: Any, number: int) -> tuple[Any, str]:
    if isinstance(field, models.DecimalField):
        amount = f"{number + (2 if field.name == 'flash_price' else 20)}.25"
        return Decimal(amount), amount
    if isinstance(field, models.JSONField):
        return {"ean": f"new-{number}"}, f'{{"ean": "new-{number}"}}'
    if isinstance(field, models.PositiveIntegerField):
        return 30 + number, str(30 + number)
    if isinstance(field, models.FloatField):
        share = 0.25 * (number + 1) if field.name != "most_price_factor" else 1.5 + number
        return share, str(share)
    assert isinstance(field, models.CharField | models.TextField), field
    text = f"new{number}@example.com" if field.name == "email" else f"new-{number}"
    text = CHOSEN[field.name][number] if field.name in CHOSEN else text
    return text, text


def _related(model: type[models.Model], number: int) -> models.Model:
    if model is Permission:
        return Permission.objects.order_by("pk")[number]
    if model is User:
        return User.objects.get_or_create(username=f"user{number}")[0]
    names: dict[str, Any] = {"name": f"other{number}"}
    if model is Category:
        names["slug"] = f"other{number}"
    return model._default_manager.get_or_create(**names)[0]


def stored(row: models.Model, field: Any) -> Any:
    """Return a field's value in the database."""
    fresh = type(row)._default_manager.get(pk=row.pk)
    if field.many_to_many:
        return list(getattr(fresh, field.name).values_list("pk", flat=True))
    return getattr(fresh, field.attname)


def change(row: models.Model, field: Any, value: Any) -> Any:
    """Let somebody else change a field; return its new value in the database."""
    if field.many_to_many:
        getattr(row, field.name).set([value])
        return [value]
    type(row)._default_manager.filter(pk=row.pk).update(**{field.attname: value})
    return value


def opened(client: Client, url: str, button: str = "_save") -> Data:
    """Open a page; return what the browser would send if nothing was changed."""
    page = client.get(url)
    assert page.status_code == 200
    forms = forms_of(page.content.decode(), "staff", url)
    [form] = [form for form in forms if button in {name for name, _ in form.buttons}]
    return submitted(form, button)


def submitted(form: Form, button: str = "_save") -> Data:
    """Return what a browser sends for a form."""
    data: Data = {}
    for each in form.inputs:
        # Browsers send every line break as CR LF.
        texts = [text.replace("\r\n", "\n").replace("\n", "\r\n") for text in each.values]
        if each.choices == [""] and each.values:
            texts = ["on"]  # a checkbox
        data.setdefault(each.name, []).extend(texts)
    data[button] = ["Save"]
    return {name: texts for name, texts in data.items() if texts}


def edited(data: Data, prefix: str, field: Any, number: int) -> Data:
    """Return the form's data after its user has changed a field."""
    names = {prefix + field.name, f"{prefix}{field.name}_0", f"{prefix}{field.name}_1"}
    rest = {name: texts for name, texts in data.items() if name not in names}
    changed = {prefix + field.name + suffix: [text] for suffix, text in values(field, number)[1]}
    return {**rest, **changed}


def fields_of(row: models.Model, data: Data, prefix: str = "") -> list[Any]:
    """Return the row's fields that the form shows."""
    shown = [
        field
        for field in (*row._meta.fields, *row._meta.many_to_many)
        if field.editable and not field.primary_key and not (prefix and field.is_relation)
        if any(
            name.startswith(f"initial-{prefix}{field.name}")
            or name in {f"{prefix}{field.name}", f"{prefix}{field.name}_0"}
            for name in data
        )
        or field.many_to_many
    ]
    assert shown
    return [field for field in shown if field.name != "password"]


def check_merging(client: Client, row: models.Model, url: str, prefix: str = "") -> None:
    """Let two people change each field, one after the other, and each pair of fields."""
    fields = fields_of(row, opened(client, url), prefix)
    for place, field in enumerate(fields):
        other = fields[place - 1]
        page = opened(client, url)
        theirs = change(row, field, values(field, 0)[0])
        answer = client.post(url, edited(page, prefix, other, 1) if other is not field else page)
        assert answer.status_code == 302, (field.name, answer.context["errors"])
        assert stored(row, field) == theirs, field.name
        if other is not field:
            mine = values(other, 1)[0]
            assert stored(row, other) == ([mine] if other.many_to_many else mine), other.name


def check_conflict(client: Client, row: models.Model, url: str, prefix: str = "") -> None:
    """Let two people change the same field, in turn for each field."""
    for field in fields_of(row, opened(client, url), prefix):
        if isinstance(field, models.BooleanField) or field.name in {"decimal_sign", "absent"}:
            continue  # it has two values: two people who both change it agree
        page = opened(client, url)
        theirs = change(row, field, values(field, 0)[0])
        data = edited(page, prefix, field, 1)
        answer = client.post(url, data)
        assert answer.status_code == 200, field.name
        assert "This was changed to" in answer.content.decode(), field.name
        assert stored(row, field) == theirs, field.name
        # The page that shows the difference has both values, and can be saved.
        again = answer.content.decode()
        [form] = [
            form
            for form in forms_of(again, "staff", url)
            if "_save" in {name for name, _ in form.buttons}
        ]
        assert client.post(url, submitted(form)).status_code == 302, field.name
        mine = values(field, 1)[0]
        assert stored(row, field) == ([mine] if field.many_to_many else mine), field.name


def page_of(row: models.Model) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{row.pk}/change/"


@pytest.mark.parametrize("label", sorted(ROWS))
def test_what_only_somebody_else_has_changed_stays(admin_client: Client, label: str) -> None:
    row = ROWS[label]()
    check_merging(admin_client, row, page_of(row))


@pytest.mark.parametrize("label", sorted(ROWS))
def test_what_both_have_changed_is_refused_and_shown(admin_client: Client, label: str) -> None:
    row = ROWS[label]()
    check_conflict(admin_client, row, page_of(row))


def test_the_same_holds_for_rows_on_another_rows_page(admin_client: Client) -> None:
    for check in (check_merging, check_conflict):
        profile = UserProfile.objects.create(user=make_buyer(check.__name__), full_name="Bea")
        check(admin_client, profile, f"/admin/auth/user/{profile.user_id}/change/", "profile-0-")


def test_an_unchanged_form_changes_nothing(admin_client: Client) -> None:
    for label, make in ROWS.items():
        if label == "accounts.UserProfile":
            continue  # its user exists already
        Group.objects.all().delete()
        Category.objects.filter(products=None).delete()
        row = make()
        url = page_of(row)
        before = type(row)._default_manager.filter(pk=row.pk).values().get()
        assert admin_client.post(url, opened(admin_client, url)).status_code == 302
        assert type(row)._default_manager.filter(pk=row.pk).values().get() == before


def test_staff_see_what_was_kept_and_it_decides_whether_the_rest_is_valid(
    admin_client: Client,
) -> None:
    lamp = make_product(price="10.00")
    page = opened(admin_client, page_of(lamp))
    Product.objects.filter(pk=lamp.pk).update(
        flash_price=7, flash_starts_at=DAYS[0], flash_ends_at=DAYS[1]
    )
    answer = admin_client.post(page_of(lamp), {**page, "price": ["6.00"]})
    assert answer.context["adminform"].errors == {
        "flash_price": ["The flash price must be above zero and at most the price."]
    }
    assert 'name="flash_price" value="7.00"' in answer.content.decode()
    answer = admin_client.post(page_of(lamp), {**page, "price": ["8.00"]}, follow=True)
    assert "and kept: ends at, starts at" not in answer.content.decode()
    assert "Changed by someone else while you edited, and kept: " in answer.content.decode()
    lamp.refresh_from_db()
    assert [lamp.price, lamp.flash_price, lamp.flash_starts_at] == [8, 7, DAYS[0]]


@pytest.fixture
def _editable_list(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.config.list_editing"


@pytest.mark.usefixtures("_editable_list")
def test_editable_lists_merge_too(admin_client: Client) -> None:
    first, second = make_product("A", price="10.00"), make_product("B", price="20.00")
    url = "/admin/products/product/"
    page = opened(admin_client, url)
    assert page["form-0-price"] == ["10.00"]
    Product.objects.update(price=3)
    data = {**page, "form-0-description": ["New"], "form-1-price": ["21.00"]}
    answer = admin_client.post(url, data)
    assert answer.status_code == 200
    assert "This was changed to “3.00”" in answer.content.decode()
    data["form-1-price"] = page["form-1-price"]
    assert admin_client.post(url, data).status_code == 302
    rows = Product.objects.order_by("pk").values_list("pk", "price", "description")
    assert list(map(list, rows)) == [[first.pk, 3, "New"], [second.pk, 3, ""]]


def test_the_profile_page_keeps_what_another_tab_or_an_order_has_saved(client: Client) -> None:
    bea = make_buyer("bea")
    client.force_login(bea)
    url = "/accounts/profile/"

    def page() -> Data:
        forms = forms_of(client.get(url).content.decode(), "bea", url)
        form = next(form for form in forms if form.action == url)
        return {each.name: list(each.values) for each in form.inputs}

    empty = page()
    UserProfile.objects.create(user=bea, full_name="Bea Buyer", address="1 Street")
    assert client.post(url, {**empty, "phone": ["123"]}).status_code == 302
    profile = UserProfile.objects.get()
    assert (profile.full_name, profile.phone, profile.address) == ("Bea Buyer", "123", "1 Street")
    shown = page()
    UserProfile.objects.update(address="2 Street")
    answer = client.post(url, {**shown, "address": ["3 Street"], "full_name": ["Bea B."]})
    assert answer.status_code == 409
    assert "This was changed to “2 Street”" in answer.content.decode()
    assert UserProfile.objects.values_list("address", "full_name").get() == (
        "2 Street",
        "Bea Buyer",
    )
