"""What buyers see when an order is refused: why, with a reference, and a way to go on."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from cart.models import CartItem
from orders.models import Sale
from payments import breaker
from payments.gateway import Answer
from products.models import Product
from products.services import SoldOutError
from tests.orders.test_views import form, state
from tests.support import ScriptedGateway, make_product, order_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("trusted_proxy"),
]


@pytest.fixture
def shopper(buyer: User, lamp: Product, client: Client) -> Client:
    """Return the buyer's client; the cart contains two of five lamps."""
    client.force_login(buyer)
    order_for(buyer, lamp, 2)
    return client


def breaker_open() -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)


def fewer_left() -> None:
    Product.objects.update(stock=1)


def sold_out() -> None:
    Product.objects.update(stock=0)


def off_sale() -> None:
    Product.objects.update(is_active=False)


def dearer() -> None:
    Product.objects.update(price=Decimal("12.00"))


REFUSED: dict[str, tuple[Callable[[], None], int]] = {
    "breaker open": (breaker_open, 503),
    "fewer left": (fewer_left, 409),
    "sold out": (sold_out, 409),
    "no longer on sale": (off_sale, 409),
    "changed price": (dearer, 409),
}


def reference_of(page: str) -> list[str]:
    return re.findall(r"Reference <code>([^<]*)</code>", page)


@pytest.mark.parametrize("case", REFUSED)
def test_every_refusal_shows_its_reference(
    shopper: Client, scripted_gateway: ScriptedGateway, case: str
) -> None:
    data = form()
    prepare, status = REFUSED[case]
    prepare()
    for number in range(2):  # the second page reuses the first one's template
        answer = shopper.post("/checkout/", data, headers={"X-Request-ID": f"order-{number}"})
        assert answer.status_code == status
        assert reference_of(answer.content.decode()) == [f"order-{number}"]
        assert answer.headers["X-Request-ID"] == f"order-{number}"


def test_a_throttled_order_and_an_invalid_form_show_their_reference(
    shopper: Client, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    settings.THROTTLE_CHECKOUT_LIMIT, settings.THROTTLE_CHECKOUT_SECONDS = 1, 86_400 * 365
    scripted_gateway.answers = [Answer.DECLINED]
    declined = form()
    assert shopper.post("/checkout/", declined).status_code == 302
    for data, status in ((form(), 429), (form(delivery_name=""), 400), (declined, 409)):
        answer = shopper.post("/checkout/", data, headers={"X-Request-ID": f"try-{status}"})
        assert answer.status_code == status
        assert reference_of(answer.content.decode()) == [f"try-{status}"]


def test_a_hostile_reference_is_not_shown(
    shopper: Client, scripted_gateway: ScriptedGateway
) -> None:
    breaker_open()
    headers = {"X-Request-ID": "<!-- fields -->"}
    answer = shopper.post("/checkout/", form(), headers=headers)
    assert reference_of(answer.content.decode()) == [answer.headers["X-Request-ID"]]


def test_what_is_left_is_shown_instead_of_the_pay_button(
    shopper: Client, buyer: User, lamp: Product
) -> None:
    order_for(buyer, make_product("Gone", stock=0), 1)
    order_for(buyer, make_product("Plenty"), 1)
    fewer = Product.objects.filter(pk=lamp.pk)
    fewer.update(stock=1)
    page = shopper.get("/checkout/").content.decode()
    assert "Lamp: only 1 left, and your cart has 2." in page
    assert "Gone: sold out, and your cart has 1." in page
    assert "Plenty:" not in page
    assert "Place order" not in page
    assert 'name="take_left"' in page
    fewer.update(stock=2)
    CartItem.objects.filter(product__name="Gone").delete()
    page = shopper.get("/checkout/").content.decode()
    assert "Place order and pay" in page
    assert "take_left" not in page


def test_nothing_is_offered_where_nothing_is_left(shopper: Client) -> None:
    sold_out()
    page = shopper.get("/checkout/").content.decode()
    assert "Lamp: sold out, and your cart has 2." in page
    assert "take_left" not in page
    assert "Change your cart" in page
    answer = shopper.post("/checkout/", {"take_left": ""}, follow=True)  # of an older page
    assert [str(message) for message in answer.context["messages"]] == [
        "Your cart is empty. Add a product to check out."
    ]


def test_one_click_takes_what_is_left_and_keeps_what_was_typed(
    shopper: Client, buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    order_for(buyer, make_product("Gone", stock=0), 1)
    order_for(buyer, make_product("Hidden", is_active=False), 1)
    Product.objects.filter(pk=lamp.pk).update(stock=1)
    data = form(delivery_name="Ann Other", delivery_address="7 New Street")
    answer = shopper.post("/checkout/", {**data, "take_left": ""}, follow=True)
    assert answer.redirect_chain == [("/checkout/", 302)]
    assert dict(CartItem.objects.values_list("product__name", "quantity")) == {"Lamp": 1}
    assert Sale.objects.count() == 0
    shown = answer.context["form"]
    assert shown["delivery_name"].value() == "Ann Other"
    assert shown["delivery_address"].value() == "7 New Street"
    assert "Place order and pay €10.00" in answer.content.decode()
    again = {**data, "lines_shown": shown["lines_shown"].value()}
    assert shopper.post("/checkout/", again).status_code == 302
    assert Sale.objects.get().total == Decimal("10.00")


def test_taking_what_is_left_of_nothing_leads_to_the_empty_cart(shopper: Client) -> None:
    Product.objects.update(stock=0)
    answer = shopper.post("/checkout/", {"take_left": ""}, follow=True)
    assert [url for url, _ in answer.redirect_chain] == ["/checkout/", "/cart/"]
    assert CartItem.objects.count() == 0


def refused(shopper: Client) -> tuple[str, bool]:
    """Order the cart; return the reason for the refusal, and whether one click takes the rest."""
    answer = shopper.post("/checkout/", form())
    assert answer.status_code == 409
    page = answer.content.decode()
    (reason,) = re.findall(r'<p class="lede">([^<]*)</p>', page)
    return reason, 'name="take_left"' in page


def test_a_refusal_says_how_many_are_left(
    shopper: Client, buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    Product.objects.update(stock=1)
    assert refused(shopper) == (
        "Lamp: only 1 left, and your cart has 2. Take what is left, or change your cart.",
        True,
    )
    Product.objects.update(stock=0)
    assert refused(shopper) == ("Lamp is sold out. You can change your cart.", False)
    order_for(buyer, make_product("Plenty"), 1)
    assert refused(shopper) == ("Lamp is sold out. Take what is left, or change your cart.", True)


def test_only_a_lost_race_says_that_it_has_just_sold_out(
    shopper: Client,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bought_in_between(*_: Any) -> None:
        raise SoldOutError(lamp.pk)

    monkeypatch.setattr("orders.services.reserve", bought_in_between)
    reason, _ = refused(shopper)
    assert reason.startswith("Lamp has just sold out, or fewer are left than you want.")
    assert state() == (0, 5, 2)


def text_of_order(shopper: Client, sale: Sale) -> str:
    return shopper.get(f"/orders/{sale.reference}/").content.decode()


def test_a_declined_order_says_that_items_are_in_the_cart_only_while_they_are(
    shopper: Client, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [Answer.DECLINED, Answer.APPROVED]
    shopper.post("/checkout/", form(payment_token="tok_declined"))
    declined = Sale.objects.get()
    assert "Your items are back in your cart" in text_of_order(shopper, declined)
    CartItem.objects.update(quantity=1)
    assert "Your items are back" not in text_of_order(shopper, declined)
    assert "Some of its items are in your cart." in text_of_order(shopper, declined)
    assert shopper.post("/checkout/", form()).status_code == 302
    assert Sale.objects.filter(status="CONFIRMED").count() == 1
    page = text_of_order(shopper, declined)
    assert "in your cart, so" not in page
    assert "Its items are no longer in your cart." in page
    assert "Your card was declined" in page


@pytest.mark.parametrize("answer", [Answer.REJECTED, Answer.CANCELLED])
def test_so_does_an_order_that_failed_otherwise(
    shopper: Client, scripted_gateway: ScriptedGateway, answer: Answer
) -> None:
    scripted_gateway.answers = [answer]
    shopper.post("/checkout/", form())
    sale = Sale.objects.get()
    assert "Your items are back in your cart" in text_of_order(shopper, sale)
    CartItem.objects.all().delete()
    assert "Your items are back" not in text_of_order(shopper, sale)
