"""Operators force the circuit breaker in the admin: by keyboard, on a desktop, on a phone."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import DESKTOP, PHONE, look
from tests.browser.support import LAMP, PASSWORD, ShopWithoutDebug, Visitor

PAGE = "/admin/payments/circuitbreaker/payments/change/"
LIST = "/admin/payments/circuitbreaker/"
STAFF = f"""
from django.contrib.auth.models import Permission, User
from payments.models import CircuitBreaker
CircuitBreaker.objects.get_or_create(name="payments")
for name in ("change", "view"):
    user = User.objects.create_user(f"may-{{name}}", password="{PASSWORD}", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=f"{{name}}_circuitbreaker"))
"""


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    running_shop.run(STAFF)
    return running_shop


def log_in(visitor: OpenVisitor, name: str, **options: Any) -> Visitor:
    """Open the breaker's page as a new visitor and log in."""
    somebody = visitor(customer=False, **options)
    somebody.open(PAGE)
    somebody.page.get_by_label("Username").fill(name)
    somebody.page.get_by_label("Password").fill(PASSWORD)
    somebody.press("Log in")
    somebody.is_at(PAGE)
    return somebody


def check(page: Page, name: str, pictures: Path) -> None:
    """Check the page on a desktop and a phone, and take a screenshot of each."""
    problems = []
    for size in (DESKTOP, PHONE):
        problems += look(page, size, "light")
        page.screenshot(path=pictures / f"{name}-{size[0]}.png", full_page=True)
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    # Ignore the low contrast of the breadcrumbs in Django's admin.
    assert [line for line in problems if ".breadcrumbs" not in line] == []


def test_staff_force_the_breaker_and_return_it_to_automatic_by_keyboard(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    anna = log_in(visitor, "may-change")
    page, keys = anna.page, anna.page.keyboard
    page.get_by_label("Open: nobody can pay").focus()
    keys.press("Space")
    keys.press("Tab")
    keys.press("Tab")
    keys.type("10")
    keys.press("Enter")
    expect(page.get_by_text("Enter a reason.")).to_be_visible()
    page.get_by_label("Reason").fill("<b>the gateway's</b> night shift")
    page.get_by_label("Reason").press("Enter")
    anna.is_at(LIST)
    forced = page.locator("td.field-forced")
    expect(forced).to_contain_text("by may-change: <b>the gateway's</b> night shift")

    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.fill_in_checkout()
    buyer.expected = [503]
    buyer.place_order.click()
    buyer.reads("We can't take payments right now")

    anna.open(PAGE)
    page.get_by_label("Automatic: the breaker opens and closes by itself").check()
    anna.press("Save")
    expect(page.get_by_text("The breaker is automatic again.")).to_be_visible()
    buyer.buy()
    expect(buyer.status).to_have_text("Thank you for your order")


def test_view_permission_shows_the_state_without_a_form(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    otto = log_in(visitor, "may-view")
    expect(otto.page.get_by_text("Failures:")).to_be_visible()
    expect(otto.page.get_by_label("Reason")).to_have_count(0)
    expect(otto.page.get_by_role("button", name="Save")).to_have_count(0)


def test_the_breakers_pages_fit_a_desktop_and_a_phone(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    # axe injects a style that the content security policy refuses.
    anna = log_in(visitor, "may-change", bypass_csp=True)
    check(anna.page, "breaker", pictures)
    anna.press("Save")
    expect(anna.page.get_by_text("This field is required.")).to_be_visible()
    check(anna.page, "breaker-errors", pictures)
    anna.page.get_by_label("Closed: every order").check()
    anna.page.get_by_label("Reason").fill("word " * 40)
    anna.page.get_by_label("Duration in minutes").fill("240")
    anna.press("Save")
    anna.is_at(LIST)
    check(anna.page, "breaker-list", pictures)
    anna.open(PAGE)
    check(anna.page, "breaker-forced", pictures)
    anna.page.get_by_label("Automatic: the breaker opens and closes by itself").check()
    anna.press("Save")
    anna.is_at(LIST)
    check(log_in(visitor, "may-view", bypass_csp=True).page, "breaker-view-only", pictures)
