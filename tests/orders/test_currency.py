"""An order is charged in the currency in which its products are priced."""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from cart.models import CartItem
from orders.checks import stored_prices_are_in_the_shops_currency
from orders.models import Payment, Sale, new_payment_key
from orders.reservation import reserve
from orders.services import OrderProblemError, sale_checkout
from orders.settlement import payment_settle
from payments.gateway import Answer, NoAnswerError
from products.models import Product
from retail.startup import refuse_errors
from tests.support import fill_cart, make_buyer, make_product, order_for, order_of

if TYPE_CHECKING:
    from django.test import Client
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db


def found() -> list[str]:
    messages = stored_prices_are_in_the_shops_currency(databases=["default"])
    assert {message.id for message in messages} <= {"orders.E002"}
    return [message.msg for message in messages]


def convert(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("change_currency", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_shop_starts_with_the_currency_of_its_prices_or_without_any(settings: Settings) -> None:
    refuse_errors()
    make_product()
    refuse_errors()
    settings.CURRENCY = "USD"
    Product.objects.all().update(currency="USD")
    refuse_errors()


@pytest.mark.parametrize("shown", [True, False])
def test_it_refuses_another_one_while_there_are_products(
    settings: Settings, *, shown: bool
) -> None:
    make_product(is_active=shown)
    make_product("Desk", currency="GBP")
    make_product("Pen", currency="USD")
    settings.CURRENCY = "USD"
    assert found() == ["CURRENCY is USD, but products are in EUR, GBP."]
    with pytest.raises(ImproperlyConfigured, match="Set CURRENCY back"):
        refuse_errors()


@pytest.mark.parametrize(
    ("answer", "refused"),
    [(None, True), (NoAnswerError(), True), (Answer.APPROVED, False), (Answer.DECLINED, False)],
)
def test_it_refuses_another_one_while_payments_are_unsettled(
    settings: Settings,
    scripted_gateway: ScriptedGateway,
    answer: Answer | NoAnswerError | None,
    *,
    refused: bool,
) -> None:
    order = order_for(make_buyer(), make_product())
    if isinstance(answer, NoAnswerError):
        scripted_gateway.answers = [answer]
        sale_checkout(order=order)
    else:
        payment = reserve(order, new_payment_key())[1]
        if answer:
            payment_settle(payment=payment, answer=answer)
    CartItem.objects.all().delete()
    Product.objects.all().update(currency="USD")
    settings.CURRENCY = "USD"
    expected = ["CURRENCY is USD, but unsettled payments are in EUR."] if refused else []
    assert found() == expected


def test_a_checkout_charges_what_the_pages_show_whatever_the_setting(
    client: Client, settings: Settings, scripted_gateway: ScriptedGateway
) -> None:
    buyer, lamp = make_buyer(), make_product(price="59.90")
    settings.CURRENCY = "USD"  # a process that started before the prices were entered
    client.force_login(buyer)
    fill_cart(buyer, **{f"p{lamp.pk}": 1})
    assert "€59.90" in client.get("/cart/").content.decode()
    page = client.get("/checkout/").content.decode()
    assert "pay €59.90" in page
    assert "$" not in page
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    answer = client.post(
        "/checkout/",
        {**fields, "delivery_name": "B", "delivery_address": "A", "payment_token": "tok_good"},
    )
    assert answer.status_code == 302
    sale, payment = Sale.objects.get(), Payment.objects.get()
    assert (sale.currency, payment.currency, payment.status) == ("EUR", "EUR", "COMPLETED")
    [charge] = scripted_gateway.charged
    assert (charge.amount, charge.currency) == (Decimal("59.90"), "EUR")


def test_a_currency_that_changes_under_an_open_form_is_shown_before_it_is_charged(
    client: Client, scripted_gateway: ScriptedGateway
) -> None:
    buyer, lamp = make_buyer(), make_product(price="59.90")
    client.force_login(buyer)
    fill_cart(buyer, **{f"p{lamp.pk}": 1})
    page = client.get("/checkout/").content.decode()
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    Product.objects.all().update(currency="USD")
    answer = client.post(
        "/checkout/",
        {**fields, "delivery_name": "B", "delivery_address": "A", "payment_token": "tok_good"},
    )
    assert answer.status_code == 409
    assert "pay $59.90" in answer.content.decode()
    assert scripted_gateway.charged == []


def test_prices_in_two_currencies_are_no_order(
    client: Client, scripted_gateway: ScriptedGateway
) -> None:
    buyer = make_buyer()
    lamp, desk = make_product(), make_product("Desk", currency="USD")
    fill_cart(buyer, **{f"p{lamp.pk}": 1, f"p{desk.pk}": 1})
    with pytest.raises(OrderProblemError, match="different currencies"):
        sale_checkout(order=order_of(buyer))
    assert not Sale.objects.exists()
    assert scripted_gateway.charged == []
    client.force_login(buyer)
    assert client.get("/checkout/").headers["Location"] == "/cart/"
    cart = client.get("/cart/").content.decode()
    assert "different currencies (EUR, USD)" in cart
    assert {"€10.00", "$10.00"} <= set(re.findall(r"[€$][\d.]+", cart))
    assert "Go to checkout" not in cart


def test_change_currency_converts_all_prices_at_once(settings: Settings) -> None:
    sale: dict[str, Any] = {"flash_price": "5.05", "flash_starts_at": "2026-01-01T00:00Z"}
    sale["flash_ends_at"] = "2026-01-02T00:00Z"
    make_product(price="10.10", is_active=False, **sale)
    make_product("Desk", price="1.25")
    make_product("Pen", price="3.00", currency="USD")
    assert convert("USD", "--rate", "1.5") == [
        "Prices of 2 products are now in USD.",
        "Set CURRENCY=USD and restart the shop.",
    ]
    rows = Product.objects.order_by("pk").values_list("price", "flash_price", "currency")
    assert list(rows) == [
        (Decimal("15.15"), Decimal("7.58"), "USD"),
        (Decimal("1.88"), None, "USD"),
        (Decimal("3.00"), None, "USD"),
    ]
    settings.CURRENCY = "USD"
    assert found() == []
    assert convert("USD", "--rate", "1.5") == ["Prices of 0 products are now in USD."]


@pytest.mark.parametrize("rate", ["0", "-1", "x", "nan", "inf", "1e12"])
def test_change_currency_refuses_what_makes_no_prices_and_changes_nothing(rate: str) -> None:
    make_product(price="10.00")
    with pytest.raises(CommandError):
        convert("USD", "--rate", rate)
    assert Product.objects.values_list("price", "currency").get() == (Decimal("10.00"), "EUR")


def test_a_form_used_again_still_shows_its_order(scripted_gateway: ScriptedGateway) -> None:
    buyer, key = make_buyer(), uuid.uuid4()
    lamp, desk = make_product(), make_product("Desk", currency="USD")
    fill_cart(buyer, **{f"p{lamp.pk}": 1})
    placed = sale_checkout(order=order_of(buyer, key=key))
    fill_cart(buyer, **{f"p{lamp.pk}": 1, f"p{desk.pk}": 1})
    assert sale_checkout(order=order_of(buyer, key=key)) == placed
