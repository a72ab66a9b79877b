"""Looking around, the account, and the cart."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import FLASH, LAMP, PASSWORD, TEAPOT


def test_a_search_finds_what_it_says_and_leads_to_it(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.get_by_label("Search products").fill("warm light")
    somebody.press("Search")
    somebody.sees("Results for “warm light”")
    somebody.reads("1 product")
    somebody.follow("Lumen Desk Lamp")
    somebody.stands_at(f"/products/{LAMP}/")
    somebody.sees("Lumen Desk Lamp")
    somebody.reads("€59.90")


def test_a_search_that_finds_nothing_says_so_and_shows_the_way_back(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/products/?q=zeppelin")
    somebody.sees("Results for “zeppelin”")
    somebody.reads("0 products")
    somebody.reads("Nothing on the shelf for that")
    somebody.follow("See all products")
    somebody.sees("All products")


def test_a_category_shows_its_own_products_and_a_search_stays_in_it(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.follow("Books")
    somebody.sees("Books")
    shown = somebody.page.locator(".card h3")
    expect(shown).to_have_text(["Cooking with Fire", "The Quiet Sea"])
    expect(somebody.page.get_by_role("link", name="Books", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    somebody.open("/products/?category=books&q=lamp")
    somebody.reads("There is nothing called “lamp” in Books. It may be in another aisle.")
    somebody.follow("Search the whole shop")
    expect(shown).to_have_text(["Lumen Desk Lamp"])


def test_a_long_list_is_turned_page_by_page(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/products/")
    somebody.reads("13 products")
    cards = somebody.page.locator(".card h3")
    expect(cards).to_have_count(12)
    somebody.follow("Next")
    somebody.stands_at("/products/?page=2")
    expect(cards).to_have_text(["The Quiet Sea"])
    somebody.follow("Previous")
    somebody.stands_at("/products/?page=1")
    expect(cards).to_have_count(12)


def test_somebody_registers_and_is_a_customer(visitor: OpenVisitor) -> None:
    somebody = visitor(customer=False)
    somebody.open("/")
    somebody.page.get_by_role("link", name="Register", exact=True).click()
    somebody.page.get_by_label("Username").fill("robin")
    somebody.page.get_by_label("Password", exact=True).fill(PASSWORD)
    somebody.page.get_by_label("Password confirmation").fill(PASSWORD)
    somebody.press("Make my account")
    somebody.stands_at("/")
    somebody.reads("Welcome, robin.")
    somebody.has_orders()
    somebody.reads("No orders yet")


def test_the_cart_keeps_changes_removes_and_counts(visitor: OpenVisitor) -> None:
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
    buyer.reads("Nothing in it yet")


def test_what_was_chosen_before_logging_in_is_there_afterwards(visitor: OpenVisitor) -> None:
    customer = visitor(customer=False)
    customer.open("/accounts/register/")
    customer.page.get_by_label("Username").fill("kim")
    customer.page.get_by_label("Password", exact=True).fill(PASSWORD)
    customer.page.get_by_label("Password confirmation").fill(PASSWORD)
    customer.press("Make my account")
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
