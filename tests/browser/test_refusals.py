"""What a buyer sees when the shop has to say no. Nothing is charged and the cart stays."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import LAMP, LANTERN, REST, TEAPOT, ShopWithoutDebug, Visitor

KEPT = "Nothing was charged and your cart is kept."


def problem(buyer: Visitor) -> str:
    """Return the sentence that says why nothing was bought."""
    buyer.reads(KEPT)
    return buyer.page.locator(".lede").inner_text()


def test_who_comes_too_late_is_told_and_keeps_the_cart(
    visitor: OpenVisitor, pictures: Path
) -> None:
    quick, late = visitor(), visitor()
    late.put_in_cart(LAMP)
    late.put_in_cart(LANTERN)
    late.fill_in_checkout()
    quick.put_in_cart(LANTERN, 3)
    quick.buy()
    late.expected = [409]
    late.place_order.click()
    late.reads("Somebody was quicker")
    assert problem(late) == (
        "Last Lantern is sold out, or fewer are left than you asked for. "
        "Change or remove it in your cart and order again."
    )
    examine(late.page, "checkout-sold-out", pictures)
    late.has_in_cart({"Last Lantern": 1, "Lumen Desk Lamp": 1})
    examine(late.page, "cart-sold-out-line", pictures)
    late.press("Remove Last Lantern")
    late.buy()
    late.has_orders("Confirmed")


@pytest.fixture
def gateway_away(shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop while its gateway does not answer; afterwards the breaker is closed."""
    shop.gateway.knobs(off=True)
    yield shop
    shop.gateway.knobs()
    shop.pass_the_rest()
    buyer = shop.shopper()
    buyer.put_in_cart(f"/products/{LAMP}/")
    assert "Thank you" in buyer.order().text


def test_while_the_gateway_is_away_the_shop_says_when_to_come_back(
    visitor: OpenVisitor, gateway_away: ShopWithoutDebug, pictures: Path
) -> None:
    first, second = visitor(), visitor()
    first.put_in_cart(LAMP)
    first.buy()
    expect(first.status).to_have_text("We have not heard back from the bank yet")
    first.reads("You will not be charged twice")
    examine(first.page, "order-unknown", pictures)

    second.put_in_cart(TEAPOT, 2)
    second.fill_in_checkout()
    second.expected = [503]
    with second.page.expect_response(lambda response: response.status == 503) as answer:
        second.place_order.click()
    seconds = answer.value.headers["retry-after"]
    assert 1 <= int(seconds) <= REST
    assert problem(second) == (
        f"The payment service does not answer. Try again in {seconds} seconds; "
        "nothing else is needed."
    )
    second.reads("We cannot take payments at this moment")
    examine(second.page, "checkout-breaker-open", pictures)
    gateway_away.gateway.knobs()
    gateway_away.pass_the_rest()
    second.press("Try again")
    expect(second.status).to_have_text("Thank you, it is paid")
    second.has_orders("Confirmed")


def test_who_orders_too_often_is_told_when_to_go_on(visitor: OpenVisitor, pictures: Path) -> None:
    buyer = visitor()
    assert buyer.shopper is not None
    buyer.put_in_cart(LAMP)
    # The first ten without the browser: a declined card puts the lamp back each time.
    answers = [buyer.shopper.order("tok_declined").status_code for _ in range(10)]
    assert answers == [200] * 10
    buyer.fill_in_checkout()
    buyer.expected = [429]
    with buyer.page.expect_response(lambda response: response.status == 429) as answer:
        buyer.place_order.click()
    seconds = answer.value.headers["retry-after"]
    assert re.fullmatch(r"[1-9]\d{0,4}", seconds)
    assert problem(buyer) == (
        f"You have tried to order this many times in a short while. Try again in {seconds} seconds."
    )
    buyer.reads("A little slower, please")
    examine(buyer.page, "checkout-throttled", pictures)
    buyer.has_in_cart({"Lumen Desk Lamp": 1})
