"""Buying by keyboard: Tab, Enter, Space, arrows and typing."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import PASSWORD

STOPS = 60  # maximum presses of Tab to reach anything
# A card's link outlines the whole card with its ::after.
HAS_OUTLINE = """(element) => ["", "::after"].some((part) => {
  const style = getComputedStyle(element, part || null);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus; each stop must have a visible focus outline."""
    expect(target).to_be_visible()
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        stop = page.locator(":focus")
        assert stop.evaluate(HAS_OUTLINE), f"no outline: {stop.evaluate('e => e.outerHTML')}"
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{target} was not reached in {STOPS} stops")


def test_from_the_home_page_to_a_paid_order_by_keyboard(visitor: OpenVisitor) -> None:
    buyer = visitor(customer=False)
    page = buyer.page
    keys = page.keyboard
    buyer.open("/")

    tab_to(page, page.get_by_role("link", name="Skip to content"))
    keys.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    buyer.open("/")
    tab_to(page, page.get_by_label("Search products"))
    keys.type("teapot")
    keys.press("Enter")
    buyer.sees("Results for “teapot”")
    tab_to(page, page.get_by_role("link", name="Stoneware Teapot"))
    keys.press("Enter")
    buyer.sees("Stoneware Teapot")
    tab_to(page, page.get_by_label("Quantity"))
    keys.type("2")  # Tab has selected the field's value
    tab_to(page, page.get_by_role("button", name="Add to cart"))
    keys.press("Space")

    buyer.sees("Your cart")
    tab_to(page, page.get_by_role("link", name="Log in to check out"))
    keys.press("Enter")
    tab_to(page, page.get_by_role("link", name="Create an account"))
    keys.press("Enter")
    buyer.sees("Create an account")
    expect(page.get_by_label("Username")).to_be_focused()
    keys.type("keyboard-only")
    for field in ("Password", "Password confirmation"):
        tab_to(page, page.get_by_label(field, exact=True))
        keys.type(PASSWORD)
    keys.press("Enter")

    buyer.sees("Checkout")
    tab_to(page, page.get_by_label("Name", exact=True))
    keys.type("Sam Shopper")
    tab_to(page, page.get_by_label("Address"))
    keys.type("1 Example Street")
    keys.press("Enter")
    keys.type("Exampletown")
    tab_to(page, page.get_by_label("Test card that is accepted"))
    keys.press("ArrowDown")
    expect(page.get_by_label("Test card that is declined")).to_be_checked()
    keys.press("ArrowUp")
    tab_to(page, buyer.place_order)
    keys.press("Enter")
    expect(buyer.status).to_have_text("Thank you for your order")
    expect(page.locator(".sum-total dd")).to_have_text("€92.00")
    buyer.reads("Exampletown")
    buyer.has_orders("Confirmed")
