"""Search and categories, the account and the cart."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import FLASH, LAMP, PASSWORD, TEAPOT


def test_a_search_lists_matching_products_and_links_to_them(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.get_by_label("Search products").fill("warm light")
    somebody.press("Search")
    somebody.sees("Results for “warm light”")
    somebody.reads("1 product")
    somebody.follow("Lumen Desk Lamp")
    somebody.is_at(f"/products/{LAMP}/")
    somebody.sees("Lumen Desk Lamp")
    somebody.reads("€59.90")


def test_an_empty_search_result_links_to_all_products(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/products/?q=zeppelin")
    somebody.sees("Results for “zeppelin”")
    somebody.reads("0 products")
    somebody.reads("No products found")
    somebody.follow("See all products")
    somebody.sees("All products")


def test_a_category_shows_its_products_and_a_search_stays_in_it(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.follow("Books")
    somebody.sees("Books")
    cards = somebody.page.locator(".card h3")
    expect(cards).to_have_text(["Cooking with Fire", "The Quiet Sea"])
    expect(somebody.page.get_by_role("link", name="Books", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    somebody.open("/products/?category=books&q=lamp")
    somebody.reads("No results for “lamp” in Books. Try searching the whole shop.")
    somebody.follow("Search the whole shop")
    expect(cards).to_have_text(["Lumen Desk Lamp"])


def test_a_long_list_is_paged(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/products/")
    somebody.reads("13 products")
    cards = somebody.page.locator(".card h3")
    expect(cards).to_have_count(12)
    somebody.follow("Next")
    somebody.is_at("/products/?page=2")
    expect(cards).to_have_text(["The Quiet Sea"])
    somebody.follow("Previous")
    somebody.is_at("/products/?page=1")
    expect(cards).to_have_count(12)


def test_a_visitor_registers_as_a_customer(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.get_by_role("link", name="Register", exact=True).click()
    somebody.page.get_by_label("Username").fill("robin")
    somebody.page.get_by_label("Password", exact=True).fill(PASSWORD)
    somebody.page.get_by_label("Password confirmation").fill(PASSWORD)
    somebody.press("Create account")
    somebody.is_at("/")
    somebody.reads("Welcome, robin.")
    somebody.has_orders()
    somebody.reads("No orders yet")


def test_cart_quantities_are_changed_removed_and_totalled(visitor: OpenVisitor) -> None:
    buyer = visitor()
    buyer.put_in_cart(LAMP, 2)
    buyer.reads("Lumen Desk Lamp is in your cart (2).")
    buyer.put_in_cart(FLASH)
    expect(buyer.cart_link).to_have_text("Cart 3 items")
    expect(buyer.page.locator(".sum-total dd")).to_have_text("€208.80")  # 2 x 59.90 + 89.00
    buyer.page.get_by_label("Quantity of Lumen Desk Lamp").fill("1")
    buyer.press("Update Lumen Desk Lamp")
    expect(buyer.page.locator(".sum-total dd")).to_have_text("€148.90")
    expect(buyer.cart_link).to_have_text("Cart 2 items")
    buyer.press("Remove Aurora Wireless Headphones")
    expect(buyer.cart_link).to_have_text("Cart 1 item")
    buyer.has_in_cart({"Lumen Desk Lamp": 1})
    buyer.press("Remove Lumen Desk Lamp")
    buyer.reads("Your cart is empty")


def test_the_cart_filled_before_logging_in_is_merged(visitor: OpenVisitor) -> None:
    customer = visitor(customer=False)
    customer.open("/accounts/register/")
    customer.page.get_by_label("Username").fill("kim")
    customer.page.get_by_label("Password", exact=True).fill(PASSWORD)
    customer.page.get_by_label("Password confirmation").fill(PASSWORD)
    customer.press("Create account")
    customer.put_in_cart(TEAPOT)
    customer.press("Log out")
    customer.has_in_cart({})
    customer.put_in_cart(LAMP, 2)
    customer.put_in_cart(TEAPOT)
    customer.follow("Log in to check out")
    customer.page.get_by_label("Username").fill("kim")
    customer.page.get_by_label("Password").fill(PASSWORD)
    customer.press("Log in")
    customer.sees("Checkout")
    customer.has_in_cart({"Lumen Desk Lamp": 2, "Stoneware Teapot": 2})
