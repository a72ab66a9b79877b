"""Nothing is free, and nothing is sold that the gateway cannot charge."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from cart.models import CartItem
from cart.selectors import cart_lines, order_problem
from config import env
from orders.models import Sale
from orders.services import OrderProblemError, sale_checkout
from products.checks import prices_can_be_charged
from products.models import Product
from tests.support import fill_cart, make_buyer, make_product, moved, order_for, order_of

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db

BELOW, ABOVE = "We can't take payments below €0.50.", "We can't take payments above €100.00."


@pytest.fixture(autouse=True)
def _limits(settings: Settings) -> None:
    settings.GATEWAY_MIN_AMOUNT, settings.GATEWAY_MAX_AMOUNT = Decimal("0.50"), Decimal(100)


@pytest.mark.parametrize(
    ("price", "quantity", "problem"),
    [
        ("0.49", 1, BELOW),
        ("0.10", 4, BELOW),
        ("0.50", 1, ""),
        ("0.25", 2, ""),
        ("100.00", 1, ""),
        ("10.00", 10, ""),
        ("10.01", 10, ABOVE),
        ("100.01", 1, ABOVE),
        ("99999999.99", 10, ABOVE),
    ],
)
@pytest.mark.parametrize("flash", [False, True], ids=["cart", "flash sale"])
def test_an_order_outside_the_gateways_limits_reserves_and_charges_nothing(
    client: Client,
    scripted_gateway: ScriptedGateway,
    price: str,
    quantity: int,
    problem: str,
    *,
    flash: bool,
) -> None:
    now: dict[str, Any] = {
        "flash_starts_at": "2020-01-01T00:00Z",
        "flash_ends_at": "2100-01-01T00:00Z",
    }
    sale = {"flash_price": Decimal(price), **now} if flash else {}
    buyer, lamp = make_buyer(), make_product(price=price, **sale)
    order = order_for(buyer, lamp, quantity)
    assert order_problem(order.lines) == problem
    if not problem:
        assert sale_checkout(order=order).total == Decimal(price) * quantity
        return
    with moved() as changes, pytest.raises(OrderProblemError, match=re.escape(problem)):
        sale_checkout(order=order)
    assert changes == {}  # no failed payment, nothing throttled, the breaker unchanged
    assert (Sale.objects.count(), scripted_gateway.charged) == (0, [])
    lamp.refresh_from_db()
    assert (lamp.stock, CartItem.objects.get().quantity) == (10, quantity)


def test_the_buyer_sees_why_before_and_after_the_button(
    client: Client, settings: Settings, scripted_gateway: ScriptedGateway
) -> None:
    buyer, lamp = make_buyer(), make_product(price="60.00")
    client.force_login(buyer)
    fill_cart(buyer, **{f"p{lamp.pk}": 2})
    settings.GATEWAY_MAX_AMOUNT = Decimal(1000)
    page = client.get("/checkout/").content.decode()
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    settings.GATEWAY_MAX_AMOUNT = Decimal(100)
    answer = client.post(
        "/checkout/",
        {**fields, "delivery_name": "B", "delivery_address": "A", "payment_token": "tok_good"},
    )
    assert answer.status_code == 409
    text = answer.content.decode().replace("&#x27;", "'")
    assert ABOVE in text
    assert "You haven't been charged" in text
    assert 'href="/cart/"' in text
    assert client.get("/checkout/").headers["Location"] == "/cart/"
    cart = client.get("/cart/").content.decode().replace("&#x27;", "'")
    assert ABOVE in cart
    assert "Go to checkout" not in cart


def test_several_lines_count_together(scripted_gateway: ScriptedGateway) -> None:
    buyer = make_buyer()
    products = [make_product(f"Lamp{number}", price="30.00") for number in range(4)]
    fill_cart(buyer, **{f"p{product.pk}": 1 for product in products})
    with pytest.raises(OrderProblemError, match="above"):
        sale_checkout(order=order_of(buyer))
    CartItem.objects.filter(product=products[0]).delete()
    assert sale_checkout(order=order_of(buyer)).status == "CONFIRMED"


def test_an_empty_cart_has_no_problem() -> None:
    assert order_problem(cart_lines(CartItem.objects.none())) == ""


@pytest.mark.parametrize(
    ("field", "amount", "error"),
    [
        ("price", "0.00", "We can't take payments below €0.50."),
        ("price", "0.49", "We can't take payments below €0.50."),
        ("price", "100.01", "We can't take payments above €100.00."),
        ("flash_price", "0.49", "We can't take payments below €0.50."),
        ("flash_price", "0.00", "The flash price must be above zero and at most the price."),
    ],
)
def test_such_prices_cannot_be_put_on_sale(
    admin_client: Client, field: str, amount: str, error: str
) -> None:
    lamp = make_product(price="10.00")
    data = {
        "name": "Lamp",
        "slug": lamp.slug,
        "category": lamp.category_id,
        "image": lamp.image,
        "description": "",
        "price": "10.00",
        "is_active": "on",
        "flash_starts_at_0": "27/11/2026",
        "flash_starts_at_1": "18:00:00",
        "flash_ends_at_0": "27/11/2026",
        "flash_ends_at_1": "20:00:00",
        "flash_price": "5.00",
    }
    if field == "price":
        data |= dict.fromkeys((name for name in data if name.startswith("flash")), "")
    url = f"/admin/products/product/{lamp.pk}/change/"
    answer = admin_client.post(url, {**data, field: amount})
    assert answer.status_code == 200
    assert answer.context["adminform"].errors == {field: [error]}
    hidden = {name: value for name, value in data.items() if name != "is_active"}
    if amount != "0.00":  # a draft may have any price
        assert admin_client.post(url, {**hidden, field: amount}).status_code == 302


def test_prices_on_sale_outside_of_changed_limits_are_a_warning(settings: Settings) -> None:
    make_product("Dear", price="100.01", is_active=False)
    fair, dear = make_product("Fair", price="100.00"), make_product("Dear", price="100.01")
    cheap = make_product("Cheap", price="0.40")
    [warning] = prices_can_be_charged(databases=["default"])
    assert (warning.id, warning.is_serious()) == ("products.W001", False)
    assert f"from 0.50 to 100, but prices outside are on sale: {cheap.slug}, {dear.slug}." in (
        warning.msg
    )
    assert fair.slug not in warning.msg
    Product.objects.exclude(pk=fair.pk).delete()
    assert prices_can_be_charged(databases=["default"]) == []


@pytest.mark.parametrize("value", ["0", "0.00", "-1", "1.234", "NaN", "1e3", "12345678901", "€5"])
def test_limits_that_are_no_amounts_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GATEWAY_MAX_AMOUNT", value)
    with pytest.raises(ImproperlyConfigured, match=r"GATEWAY_MAX_AMOUNT='.*' must be an amount"):
        env.amount("GATEWAY_MAX_AMOUNT", "1.00")
