"""Every page in every state is accessible, in light and dark mode, on a desktop and a phone.

Add a line to STATES for each state of a new page. States that take several steps to reach are
checked in test_refusals.py.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import CAP, FLASH, GLOBE, LAMP, PASSWORD, Visitor


@dataclass(frozen=True)
class State:
    """A page in a state: how a visitor reaches it, and the error statuses on the way."""

    title: str
    reach: Callable[[Visitor], None]
    customer: bool = False
    refused: tuple[int, ...] = ()


def at(path: str) -> Callable[[Visitor], None]:
    """Return a function that opens a path."""
    return lambda visitor: visitor.open(path)


def full_cart(visitor: Visitor) -> None:
    visitor.put_in_cart(FLASH)
    visitor.put_in_cart(LAMP, 2)


def more_than_in_stock(visitor: Visitor) -> None:
    visitor.put_in_cart(CAP, 3)


def checkout(visitor: Visitor) -> None:
    full_cart(visitor)
    visitor.open("/checkout/")


def checkout_with_errors(visitor: Visitor) -> None:
    checkout(visitor)
    visitor.page.get_by_label("Name", exact=True).fill("   ")
    visitor.page.get_by_label("Address").fill("   ")
    visitor.place_order.click()
    visitor.reads("Please correct the errors below.")


def pending_order(visitor: Visitor) -> None:
    full_cart(visitor)  # a flash sale waits for the worker
    visitor.buy()
    expect(visitor.status).to_have_text("Processing your payment")


def paid_order(visitor: Visitor) -> None:
    visitor.put_in_cart(LAMP)
    visitor.buy()
    expect(visitor.status).to_have_text("Thank you for your order")


def declined_order(visitor: Visitor) -> None:
    visitor.put_in_cart(LAMP)
    visitor.buy("Test card that is declined")
    expect(visitor.status).to_have_text("Your card was declined")


def cancelling_an_order(visitor: Visitor) -> None:
    paid_order(visitor)
    visitor.follow("Cancel order")


def cancelled_order(visitor: Visitor) -> None:
    cancelling_an_order(visitor)
    visitor.press("Cancel order")
    expect(visitor.status).to_have_text("Your order is cancelled")


def orders(visitor: Visitor) -> None:
    declined_order(visitor)
    visitor.buy()
    visitor.open("/orders/")


def refused_registration(visitor: Visitor) -> None:
    visitor.open("/accounts/register/")
    visitor.page.get_by_label("Username").fill("no spaces, please")
    visitor.page.get_by_label("Password", exact=True).fill("12345")
    visitor.page.get_by_label("Password confirmation").fill("54321")
    visitor.press("Create account")
    visitor.reads("Please correct the errors below.")


def refused_login(visitor: Visitor) -> None:
    visitor.open("/accounts/login/?next=/checkout/")
    visitor.page.get_by_label("Username").fill("nobody")
    visitor.page.get_by_label("Password").fill("nothing at all")
    visitor.press("Log in")
    visitor.reads("Please enter a correct username and password.")


def stale_form(visitor: Visitor) -> None:
    visitor.open(f"/products/{LAMP}/")
    visitor.context.clear_cookies()
    visitor.press("Add to cart")


def stale_after_login(visitor: Visitor) -> None:
    visitor.open(f"/products/{LAMP}/")
    tab, visitor.page = visitor.page, visitor.context.new_page()
    visitor.open("/accounts/register/")
    visitor.page.get_by_label("Username").fill(f"newcomer-{uuid.uuid4().hex[:8]}")
    visitor.page.get_by_label("Password", exact=True).fill(PASSWORD)
    visitor.page.get_by_label("Password confirmation").fill(PASSWORD)
    visitor.press("Create account")
    visitor.reads("Welcome")
    visitor.page = tab
    visitor.press("Add to cart")


def more_than_in_stock_at_checkout(visitor: Visitor) -> None:
    more_than_in_stock(visitor)
    visitor.open("/checkout/")


def session_ended(visitor: Visitor) -> None:
    checkout(visitor)
    visitor.page.get_by_label("Name", exact=True).fill("Sam Shopper")
    visitor.page.get_by_label("Address").fill("1 Example Street")
    visitor.context.clear_cookies(name="sessionid")
    visitor.place_order.click()
    visitor.reads("Your session has ended")


STATES = {
    "home": State("Electronics, clothing, books, home and garden", at("/")),
    "list": State("All products", at("/products/")),
    "list-page-2": State("All products", at("/products/?page=2")),
    "search": State("“light”", at("/products/?q=light")),
    "search-empty": State("“zeppelin”", at("/products/?q=zeppelin&category=books")),
    "category": State("Clothing", at("/products/?category=clothing")),
    "product": State("Lumen Desk Lamp", at(f"/products/{LAMP}/")),
    "product-flash": State("Aurora Wireless Headphones", at(f"/products/{FLASH}/")),
    "product-few": State(
        "Donaudampfschifffahrtsgesellschaftskapitänsmütze", at(f"/products/{CAP}/")
    ),
    "product-sold-out": State("Sold-out Globe", at(f"/products/{GLOBE}/")),
    "cart-empty": State("Your cart", at("/cart/")),
    "cart-full": State("Your cart", full_cart),
    "cart-too-many": State("Your cart", more_than_in_stock, customer=True),
    "checkout": State("Checkout", checkout, customer=True),
    "checkout-too-many": State("Checkout", more_than_in_stock_at_checkout, customer=True),
    "session-ended": State("Log in", session_ended, customer=True),
    "checkout-errors": State("Checkout", checkout_with_errors, customer=True, refused=(400,)),
    "order-pending": State("Order", pending_order, customer=True),
    "order-confirmed": State("Order", paid_order, customer=True),
    "order-declined": State("Order", declined_order, customer=True),
    "order-cancel": State("Cancel order", cancelling_an_order, customer=True),
    "order-cancelled": State("Order", cancelled_order, customer=True),
    "orders": State("Your orders", orders, customer=True),
    "orders-none": State("Your orders", at("/orders/"), customer=True),
    "register": State("Create an account", at("/accounts/register/")),
    "register-errors": State("Create an account", refused_registration, refused=(400,)),
    "login": State("Log in", at("/accounts/login/")),
    "login-errors": State("Log in", refused_login, refused=(400,)),
    "password-reset": State("Reset your password", at("/accounts/password-reset/")),
    "password-sent": State("Check your e-mail", at("/accounts/password-reset/sent/")),
    "password-stale": State("This link no longer works", at("/accounts/password-reset/MQ/a-b/")),
    "confirm-stale": State(
        "This link no longer works", at("/accounts/confirm-email/MQ/a-b/"), refused=(404,)
    ),
    "email": State("Your e-mail address", at("/accounts/email/"), customer=True),
    "password-change": State("Change your password", at("/accounts/password/"), customer=True),
    "data": State("Download your data", at("/accounts/data/"), customer=True),
    "erase": State("Delete your account", at("/accounts/delete/"), customer=True),
    "profile": State("Your account", at("/accounts/profile/"), customer=True),
    "not-found": State("Page not found", at("/no/such/page/"), refused=(404,)),
    "not-yours": State(
        "You don't have access to this page", at("/metrics/alerts/"), customer=True, refused=(403,)
    ),
    "stale-form": State("This form has expired", stale_form, refused=(403,)),
    "confirm-form": State("Please confirm", stale_after_login, refused=(403,)),
}


@pytest.mark.parametrize("name", STATES)
def test_the_page_is_accessible_and_fits_a_phone(
    name: str, visitor: OpenVisitor, pictures: Path
) -> None:
    state = STATES[name]
    somebody = visitor(customer=state.customer)
    somebody.expected = list(state.refused)
    state.reach(somebody)
    title = somebody.page.title().removesuffix(" · Vitrine")
    assert state.title in {title, title.partition(" ")[0]}
    examine(somebody.page, name, pictures)
