"""An operator forces the circuit breaker in the admin: without a mouse, on a desk, on a phone."""

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
    """Send somebody to the breaker's page, by way of the login."""
    somebody = visitor(customer=False, **options)
    somebody.open(PAGE)
    somebody.page.get_by_label("Username").fill(name)
    somebody.page.get_by_label("Password").fill(PASSWORD)
    somebody.press("Log in")
    somebody.stands_at(PAGE)
    return somebody


def looks(page: Page, name: str, pictures: Path) -> None:
    """Examine the page on a desk and on a phone, and keep a picture of each."""
    found = []
    for size in (DESKTOP, PHONE):
        found += look(page, size, "light")
        page.screenshot(path=pictures / f"{name}-{size[0]}.png", full_page=True)
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    # Every list of Django's admin has its breadcrumbs in these colours.
    assert [line for line in found if ".breadcrumbs" not in line] == []


def test_staff_force_the_breaker_and_hand_it_back_by_keyboard(
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
    expect(page.get_by_text("Say why: the next on duty will ask.")).to_be_visible()
    page.get_by_label("Reason").fill("<b>the gateway's</b> night shift")
    page.get_by_label("Reason").press("Enter")
    anna.stands_at(LIST)
    shown = page.locator("td.field-forced")
    expect(shown).to_contain_text("by may-change: <b>the gateway's</b> night shift")

    buyer = visitor()
    buyer.put_in_cart(LAMP)
    buyer.fill_in_checkout()
    buyer.expected = [503]
    buyer.place_order.click()
    buyer.reads("We cannot take payments at this moment")

    anna.open(PAGE)
    page.get_by_label("Automatic: it decides by itself again").check()
    anna.press("Save")
    expect(page.get_by_text("It is automatic again.")).to_be_visible()
    buyer.buy()
    expect(buyer.status).to_have_text("Thank you, it is paid")


def test_who_may_only_look_sees_the_facts(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    otto = log_in(visitor, "may-view")
    expect(otto.page.get_by_text("Failures:")).to_be_visible()
    expect(otto.page.get_by_label("Reason")).to_have_count(0)
    expect(otto.page.get_by_role("button", name="Save")).to_have_count(0)


def test_its_pages_fit_a_desk_and_a_phone(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    # axe brings a style of its own, which the shop's policy refuses on Django's pages.
    anna = log_in(visitor, "may-change", bypass_csp=True)
    looks(anna.page, "breaker", pictures)
    anna.press("Save")
    expect(anna.page.get_by_text("This field is required.")).to_be_visible()
    looks(anna.page, "breaker-errors", pictures)
    anna.page.get_by_label("Closed: every order").check()
    anna.page.get_by_label("Reason").fill("word " * 40)
    anna.page.get_by_label("For how many minutes").fill("240")
    anna.press("Save")
    anna.stands_at(LIST)
    looks(anna.page, "breaker-list", pictures)
    anna.open(PAGE)
    looks(anna.page, "breaker-forced", pictures)
    anna.page.get_by_label("Automatic: it decides by itself again").check()
    anna.press("Save")
    anna.stands_at(LIST)
    looks(log_in(visitor, "may-view", bypass_csp=True).page, "breaker-view-only", pictures)
