"""From the cart to an order: paid in the request, in the background, and never twice."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import FLASH, LAMP, TEAPOT, ShopWithoutDebug, Visitor
from tests.running.support import wait_until

PAID = "Thank you for your order"
CHARGING = "Processing your payment"
EMPTY = "Your cart is empty. Add a product to check out."


def address_in_profile(buyer: Visitor) -> str:
    buyer.open("/accounts/profile/")
    return buyer.page.get_by_label("Address").input_value()


def test_an_order_is_confirmed_and_its_address_is_saved(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP, 2)
    buyer.follow("Go to checkout")
    expect(buyer.place_order).to_have_text("Place order and pay €119.80")
    buyer.buy()
    expect(buyer.status).to_have_text(PAID)
    expect(buyer.cart_link).to_have_text("Cart 0 items")
    buyer.reads("1 Example Street")
    buyer.has_orders("Confirmed")
    shop.start("worker")
    wait_until(lambda: address_in_profile(buyer), "the worker to save the address")
    expect(buyer.page.get_by_label("Address")).to_have_value("1 Example Street\nExampletown")


def test_the_page_of_a_flash_order_updates_itself(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    buyer = visitor()
    buyer.put_in_cart(FLASH)
    buyer.buy()
    expect(buyer.status).to_have_text(CHARGING)
    buyer.page.evaluate("window.stillTheSamePage = true")
    shop.start("worker")
    expect(buyer.status).to_have_text(PAID)
    assert buyer.page.evaluate("window.stillTheSamePage") is True
    expect(buyer.page.locator("#order-status")).not_to_have_attribute("aria-busy", "true")
    buyer.has_orders("Confirmed")


def test_the_page_of_a_flash_order_updates_without_javascript_too(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    buyer = visitor(java_script_enabled=False)
    buyer.put_in_cart(FLASH)
    buyer.buy()
    expect(buyer.status).to_have_text(CHARGING)
    shop.start("worker")
    expect(buyer.status).to_have_text(PAID)
    buyer.has_orders("Confirmed")


def test_a_declined_card_returns_the_items_to_the_cart(visitor: OpenVisitor) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP, 2)
    buyer.put_in_cart(TEAPOT)
    buyer.buy("Test card that is declined")
    expect(buyer.status).to_have_text("Your card was declined")
    buyer.reads("You haven't been charged. Your items are back in your cart")
    expect(buyer.cart_link).to_have_text("Cart 3 items")
    buyer.has_in_cart({"Lumen Desk Lamp": 2, "Stoneware Teapot": 1})
    buyer.buy()
    expect(buyer.status).to_have_text(PAID)
    buyer.has_orders("Confirmed", "Payment failed")


def test_a_declined_order_no_longer_speaks_of_the_cart_after_a_later_success(
    visitor: OpenVisitor,
) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.buy("Test card that is declined")
    declined = buyer.page.url.removeprefix(buyer.url)
    buyer.buy()
    expect(buyer.status).to_have_text(PAID)
    buyer.open(declined)
    expect(buyer.status).to_have_text("Your card was declined")
    buyer.reads("Its items are no longer in your cart.")


def test_pressing_the_button_twice_places_one_order(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.fill_in_checkout()
    shop.gateway.knobs(hold=True)  # so that the first is pending when the second comes
    buyer.expected_aborted = ["POST checkout/"]
    buyer.place_order_twice()
    wait_until(lambda: shop.gateway.held() == 1, "the first to reach the gateway")
    shop.gateway.knobs()
    expect(buyer.status).to_have_text(PAID)
    buyer.has_orders("Confirmed")


def test_going_back_after_ordering_places_no_second_order(visitor: OpenVisitor) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.buy()
    order_url = buyer.page.url
    buyer.page.go_back()
    buyer.sees("Your cart")
    buyer.reads(EMPTY)
    buyer.page.go_forward()
    expect(buyer.page).to_have_url(order_url)
    buyer.page.reload()
    expect(buyer.status).to_have_text(PAID)
    buyer.has_orders("Confirmed")


def test_a_checkout_left_open_in_another_tab_places_no_second_order(visitor: OpenVisitor) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.fill_in_checkout()
    first, buyer.page = buyer.page, buyer.context.new_page()
    buyer.buy()
    expect(buyer.status).to_have_text(PAID)
    buyer.page = first
    buyer.place_order.click()
    buyer.reads(EMPTY)
    buyer.has_orders("Confirmed")
