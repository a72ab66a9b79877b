"""Buying without a mouse: Tab, Enter, Space, arrows and typing."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import PASSWORD

STOPS = 60  # of the Tab key at most on the way to anything
# A card's link shows its focus around the whole card, by its ::after.
MARKED = """(element) => ["", "::after"].some((part) => {
  const style = getComputedStyle(element, part || null);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
})"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus; each stop on the way must show that it has it."""
    expect(target).to_be_visible()
    for _ in range(STOPS):
        page.keyboard.press("Tab")
        stop = page.locator(":focus")
        assert stop.evaluate(MARKED), f"no focus to be seen: {stop.evaluate('e => e.outerHTML')}"
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{STOPS} stops and never at {target}")


def test_from_the_front_page_to_a_paid_order_without_a_mouse(visitor: OpenVisitor) -> None:
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
    keys.type("2")  # Tab has selected what was in the field
    tab_to(page, page.get_by_role("button", name="Add to cart"))
    keys.press("Space")

    buyer.sees("Your cart")
    tab_to(page, page.get_by_role("link", name="Log in to check out"))
    keys.press("Enter")
    tab_to(page, page.get_by_role("link", name="Make an account"))
    keys.press("Enter")
    buyer.sees("Make an account")
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
    expect(buyer.status).to_have_text("Thank you, it is paid")
    expect(page.locator(".sum-total dd")).to_have_text("€92.00")
    buyer.reads("Exampletown")
    buyer.has_orders("Confirmed")
