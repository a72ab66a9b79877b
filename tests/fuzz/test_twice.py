"""Every form of the shop, sent twice at once: by a double click, or by a client that retries."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Count
from django.test import Client

from accounts.models import UserProfile
from cart.models import CartItem
from products.models import Product
from retail.models import Email
from tests.fuzz.forms import Form, forms_of
from tests.fuzz.hostile import FORM
from tests.fuzz.observers import observed
from tests.fuzz.routes import routes
from tests.fuzz.twice import twice_at_once
from tests.fuzz.world import PASSWORD, TOKEN, World, make_world
from tests.support import make_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.http import HttpResponse
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db(transaction=True)

# Each request that succeeds may add one.
BY_REQUEST = {"admin.LogEntry", "retail.SecurityEvent", "accounts.Session"}
# A visitor without a cart gets one with each request; the browser keeps the last.
BY_REQUEST |= {"cart.Cart", "cart.CartItem"}
# An order has several of them, and a second order would be counted itself.
BY_LINE = {"orders.SaleItem", "products.StockMovement"}
# The value of a field, of which `{}` is another number for each form.
VALUES = {
    **dict.fromkeys(("password1", "password2", "new_password1", "new_password2"), PASSWORD),
    **dict.fromkeys(("password", "old_password"), PASSWORD),
    "username": "new-{}",
    "email": "new-{}@example.com",
    "quantity": "2",
    "price": "12.50",
    "stock_difference": "5",
    "stock_reason": "recount",
    "name": "Name {}",
    "slug": "name-{}",
    "force_to": "closed",
    "reason": "night shift",
    "minutes": "5",
    "payment_token": "tok_good",
    "delivery_name": "Bea",
    "delivery_address": "1 Example Street",
    "description": "Words",
    "image": "products/placeholder.svg",
}
TRIES = 3  # at a route with parameters, since some rows have no form
# These must be among the forms that have an effect.
EFFECTIVE = {
    ("visitor", "/accounts/register/"),
    ("visitor", "/cart/add/"),
    ("customer", "/accounts/profile/"),
    ("customer", "/cart/update/"),
    ("customer", "/checkout/"),
    ("staff", "/admin/products/product/add/"),
    ("staff", "/admin/products/category/add/"),
    ("staff", "/admin/auth/user/add/"),
    ("staff", "/admin/auth/group/add/"),
}


@pytest.fixture
def world(scripted_gateway: ScriptedGateway, settings: Settings) -> World:
    settings.THROTTLE_CHECKOUT_LIMIT = settings.THROTTLE_PASSWORD_RESET_LIMIT = 10**9
    settings.THROTTLE_REGISTER_LIMIT = settings.THROTTLE_PASSWORD_RESET_CLIENT_LIMIT = 10**9
    return make_world()


def rows() -> dict[str, int]:
    models = [model for model in apps.get_models() if model is not Email]
    counts = {model._meta.label: model._base_manager.count() for model in models}
    kinds = Email.objects.values_list("kind").annotate(Count("pk")).order_by()
    return {**counts, **dict(kinds), "units": sum(Product.objects.values_list("stock", flat=True))}


def log_in(world: World, actor: str) -> None:
    """Give an actor a session, which the last form may have ended."""
    client = Client()
    if actor == "visitor":
        product = Product.objects.filter(is_active=True, stock__gt=0).first()
        client.post("/cart/add/", {"product_id": product.pk if product else 0, "quantity": 1})
    elif user := User.objects.filter(username=actor).first():
        client.force_login(user, "accounts.backends.AccountBackend")
    if "sessionid" in client.cookies:
        world.sessions[actor] = client.cookies["sessionid"].value


def get(world: World, actor: str, path: str) -> list[Form]:
    """Return the forms of a page."""
    client = Client()
    client.cookies["sessionid"] = world.sessions[actor]
    response = client.get(path)
    kind = response.headers.get("Content-Type", "")
    return forms_of(response.content.decode(), actor, path) if "html" in kind else []


def pages_of(world: World) -> Iterator[tuple[str, Form]]:
    """Yield every form, with the path of the page that has it. Those that delete come last."""
    found: dict[Any, tuple[str, Form]] = {}
    rng = Random(1)  # noqa: S311 - the same each time
    for route in [each for each in routes() for _ in range(TRIES if each.parameters else 1)]:
        path = route.path(world.real(route, rng))
        # Nobody else gets into the admin.
        for actor in ["staff"] if route.label == "admin" else world.sessions:
            for form in get(world, actor, path):
                found.setdefault(form.key, (path, form))
    yield from sorted(found.values(), key=lambda each: "/delete/" in each[0])


def body_of(form: Form, number: int) -> str:
    """Return a filled form, with its first button."""
    pairs = []
    for each in form.inputs:
        values = each.values
        if each.name == "_selected_action":
            values = each.choices[:1]
        elif each.name == "action":
            values = [choice for choice in each.choices if choice][:1]
        elif each.name in VALUES and values in ([""], []):
            values = [VALUES[each.name].format(number)]
        elif each.name == "category" and values in ([""], []):
            values = [choice for choice in each.choices if choice][:1]
        elif each.name == "csrfmiddlewaretoken":
            values = [TOKEN]
        pairs += [(each.name, value) for value in values]
    return urlencode([*pairs, *form.buttons[:1]])


def sender(world: World, actor: str, path: str, body: str) -> Callable[[], HttpResponse]:
    """Return what sends a form; each thread needs a client of its own."""

    def send() -> HttpResponse:
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        client.cookies["sessionid"] = world.sessions[actor]
        client.cookies["csrftoken"] = TOKEN
        response: Any = client.generic("POST", path, body, FORM)
        return response  # type: ignore[no-any-return]

    return send


def statuses(results: list[Any]) -> list[int]:
    return sorted(getattr(result, "status_code", 599) for result in results)


def text_of(results: list[Any]) -> str:
    return "".join(each.content.decode() for each in results if each.status_code != 302)


def test_every_form_has_one_effect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[object] = []
    effective = set()
    with observed(monkeypatch) as (_, errors):
        for number, (page, known) in enumerate(pages_of(world)):
            log_in(world, known.actor)
            forms = [each for each in get(world, known.actor, page) if each.key == known.key]
            if not forms:  # an earlier form has removed what the page showed
                continue
            before = rows()
            body = body_of(forms[0], number)
            if page == "/accounts/password-reset/":
                body += "&email=customer%40example.com"
            results, _ = twice_at_once(sender(world, known.actor, known.action, body))
            after = rows()
            grown = {
                name
                for name in after
                if after[name] > before.get(name, 0) + (5 if name == "units" else 1)
                and name not in BY_REQUEST | BY_LINE
            }
            if statuses(results)[-1] >= 500 or grown or errors.take():
                problems.append((known.actor, known.action, body, statuses(results), grown))
            if 302 in statuses(results):
                effective.add((known.actor, known.action))
    assert problems == []
    assert effective >= EFFECTIVE


def pressed_twice(
    world: World, actor: str, page: str, action: str = "", **values: str
) -> list[Any]:
    """Send the form of a page twice, with both past all checks before either writes.

    Unless the row's lock makes the second wait, as PostgreSQL's does in the admin.
    """
    [form] = [each for each in get(world, actor, page) if each.action == (action or page)]
    body = body_of(form, 1) + "".join(f"&{urlencode({name: values[name]})}" for name in values)
    results, met = twice_at_once(sender(world, actor, form.action, body))
    assert met or (page.startswith("/admin/") and connection.vendor == "postgresql")
    return results


def test_a_registration_sent_twice_creates_one_account_and_logs_in_twice(world: World) -> None:
    results = pressed_twice(world, "nobody", "/accounts/register/")
    assert statuses(results) == [302, 302]
    user = User.objects.get(username="new-1")
    for response in results:
        client = Client()
        client.cookies["sessionid"] = response.cookies["sessionid"].value
        assert client.get("/accounts/profile/").wsgi_request.user == user


def test_of_two_people_who_choose_a_name_at_once_one_gets_it(world: World) -> None:
    passwords = iter(("first-horse-battery", "second-horse-battery"))

    def send() -> HttpResponse:
        password = next(passwords)
        data = {"username": "ada", "password1": password, "password2": password}
        client = Client()
        response: Any = client.post("/accounts/register/", data)
        return response  # type: ignore[no-any-return]

    results, met = twice_at_once(send)
    assert met
    assert statuses(results) == [302, 400]
    assert "A user with that username already exists." in text_of(results)
    assert User.objects.filter(username="ada").count() == 1


def test_the_first_profile_sent_twice_is_saved(world: World) -> None:
    assert not UserProfile.objects.filter(user__username="clerk").exists()
    results = pressed_twice(world, "clerk", "/accounts/profile/", full_name="Cleo Clerk")
    assert statuses(results) == [302, 302]
    assert UserProfile.objects.get(user__username="clerk").full_name == "Cleo Clerk"


def test_a_product_added_by_a_double_click_is_added_once(world: World) -> None:
    lamp = make_product("Lantern")
    page = f"/products/{lamp.slug}/"
    results = pressed_twice(world, "customer", page, "/cart/add/")
    assert statuses(results) == [302, 302]
    item = CartItem.objects.get(product=lamp)
    assert item.quantity == 1
    pressed_twice(world, "customer", page, "/cart/add/")  # another page, another wish
    item.refresh_from_db()
    assert item.quantity == 2


def test_stock_added_twice_is_added_once(world: World) -> None:
    lamp = make_product("Lantern")
    results = pressed_twice(world, "staff", f"/admin/products/product/{lamp.pk}/change/")
    assert statuses(results) == [200, 302]
    assert "The stock was changed while this page was open: +5 (admin:staff: recount)." in text_of(
        results
    ).replace("&#x27;", "'")
    lamp.refresh_from_db()
    assert lamp.stock == 15


def test_a_password_reset_asked_for_by_a_double_click_is_one_e_mail(world: World) -> None:
    page = "/accounts/password-reset/"
    [form] = get(world, "nobody", page)
    body = body_of(form, 1) + "&email=customer%40example.com"
    results, _ = twice_at_once(sender(world, "nobody", page, body))
    assert statuses(results) == [302, 302]
    assert Email.objects.filter(kind="password_reset").count() == 1


@pytest.mark.parametrize(
    "model", ["auth/user", "auth/group", "products/product", "products/category"]
)
def test_what_staff_add_twice_is_added_once(world: World, model: str) -> None:
    results = pressed_twice(world, "staff", f"/admin/{model}/add/")
    assert statuses(results) == [200, 302]
    assert "already exists" in text_of(results)
