"""What buyers see when an order is refused. Nothing is charged and the cart is kept."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import LAMP, LANTERN, REST, TEAPOT, ShopWithoutDebug, Visitor

NOT_CHARGED = "You haven't been charged, and your cart is saved."


def refusal(buyer: Visitor) -> str:
    """Return the reason why the order was refused."""
    buyer.reads(NOT_CHARGED)
    return buyer.page.locator(".lede").inner_text()


def test_late_buyers_see_sold_out_and_keep_their_cart(visitor: OpenVisitor, pictures: Path) -> None:
    quick, late = visitor(), visitor()
    late.put_in_cart(LAMP)
    late.put_in_cart(LANTERN)
    late.fill_in_checkout()
    quick.put_in_cart(LANTERN, 3)
    quick.buy()
    late.expected = [409]
    late.place_order.click()
    late.sees("Sold out")
    assert refusal(late) == ("Last Lantern is sold out. Take what is left, or change your cart.")
    examine(late.page, "checkout-sold-out", pictures)
    late.has_in_cart({"Last Lantern": 1, "Lumen Desk Lamp": 1})
    examine(late.page, "cart-sold-out-line", pictures)
    late.press("Remove Last Lantern")
    late.buy()
    late.has_orders("Confirmed")


@pytest.fixture
def unreachable_gateway(shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop while its gateway does not answer; afterwards, close the breaker."""
    shop.gateway.knobs(off=True)
    yield shop
    shop.gateway.knobs()
    shop.pass_the_rest()
    buyer = shop.shopper()
    buyer.put_in_cart(f"/products/{LAMP}/")
    assert "Thank you" in buyer.order().text


def test_without_the_gateway_buyers_see_when_to_try_again(
    visitor: OpenVisitor, unreachable_gateway: ShopWithoutDebug, pictures: Path
) -> None:
    first, second = visitor(), visitor()
    first.put_in_cart(LAMP)
    first.buy()
    expect(first.status).to_have_text("Your payment is taking longer than usual")
    first.reads("You won't be charged twice")
    examine(first.page, "order-unknown", pictures)

    second.put_in_cart(TEAPOT, 2)
    second.fill_in_checkout()
    second.expected = [503]
    with second.page.expect_response(lambda response: response.status == 503) as answer:
        second.place_order.click()
    seconds = answer.value.headers["retry-after"]
    assert 1 <= int(seconds) <= REST
    assert refusal(second) == (
        f"The payment service is not responding. Try again in {seconds} seconds."
    )
    second.sees("We can't take payments right now")
    examine(second.page, "checkout-breaker-open", pictures)
    unreachable_gateway.gateway.knobs()
    unreachable_gateway.pass_the_rest()
    second.press("Try again")
    expect(second.status).to_have_text("Thank you for your order")
    second.has_orders("Confirmed")


def test_throttled_buyers_see_when_to_try_again(visitor: OpenVisitor, pictures: Path) -> None:
    buyer = visitor()
    assert buyer.shopper is not None
    buyer.put_in_cart(LAMP)
    # Ten orders without the browser: a declined card returns the lamp to the cart each time.
    answers = [buyer.shopper.order("tok_declined").status_code for _ in range(10)]
    assert answers == [200] * 10
    buyer.fill_in_checkout()
    buyer.expected = [429]
    with buyer.page.expect_response(lambda response: response.status == 429) as answer:
        buyer.place_order.click()
    seconds = answer.value.headers["retry-after"]
    assert re.fullmatch(r"[1-9]\d{0,4}", seconds)
    assert refusal(buyer) == (
        "You've tried to order this too many times in a short period. "
        f"Try again in {seconds} seconds."
    )
    buyer.sees("Too many attempts")
    examine(buyer.page, "checkout-throttled", pictures)
    buyer.has_in_cart({"Lumen Desk Lamp": 1})
