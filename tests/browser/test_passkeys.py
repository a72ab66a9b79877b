"""Staff add a passkey, log in with it by keyboard, and remove it; Chromium plays the device."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looks import DESKTOP, PHONE, look
from tests.browser.support import PASSWORD, ShopWithoutDebug, Visitor
from tests.browser.test_keyboard import tab_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import OpenVisitor

STAFF = f"""
from django.contrib.auth.models import User
for name in ("paula", "petra"):
    User.objects.create_user(name, password="{PASSWORD}", is_staff=True)
"""
BASE = "/accounts/second-factor/"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": False,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
NOBODY_CHOSE = """() => {
  navigator.credentials.get = async () => { throw new DOMException("", "NotAllowedError"); };
}"""


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    running_shop.run(STAFF)
    return running_shop


def log_in(visitor: Visitor, name: str) -> None:
    visitor.open("/accounts/login/")
    visitor.page.get_by_label("Username").fill(name)
    visitor.page.get_by_label("Password").fill(PASSWORD)
    visitor.press("Log in")


def add(visitor: Visitor, name: str, password: str = PASSWORD) -> None:
    """Fill in the page that adds a passkey, and send it."""
    visitor.sees("Add a passkey")
    visitor.page.get_by_label("Name of the passkey").fill(name)
    visitor.page.get_by_label("Your password").fill(password)
    visitor.page.keyboard.press("Enter")


def with_device(visitor: Visitor) -> None:
    """Give the browser a device that makes passkeys, and touches itself."""
    devices = visitor.context.new_cdp_session(visitor.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


def check(page: Page, name: str, pictures: Path) -> None:
    """Check the page on a desktop and a phone, and take a screenshot of each."""
    problems = []
    for size in (DESKTOP, PHONE):
        problems += look(page, size, "light")
        page.screenshot(path=pictures / f"passkeys-{name}-{size[0]}.png", full_page=True)
    page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    assert problems == []


def test_a_passkey_from_the_first_to_the_last_day(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    paula = visitor(customer=False, url=f"http://localhost:{staffed_shop.port}")
    page = paula.page
    with_device(paula)
    log_in(paula, "paula")
    paula.open(BASE)
    check(page, "none", pictures)
    paula.follow("Add a passkey")
    failed = page.locator("[data-failed]")
    add(paula, "Laptop", "wrong")
    expect(failed).to_have_text("Your password: That isn't your password.")
    check(page, "add", pictures)
    add(paula, "Laptop")
    paula.sees("Your recovery codes")
    expect(page.locator(".recovery-codes li")).to_have_count(10)
    paula.follow("I have kept them")
    paula.reads("Laptop")
    paula.follow("Add a passkey")
    add(paula, "Again")
    expect(failed).to_have_text("This device has a passkey for you already.")

    paula.press("Log out")
    log_in(paula, "paula")
    paula.sees("Second factor")
    check(page, "check", pictures)
    page.evaluate(NOBODY_CHOSE)
    paula.press("Use a passkey")
    expect(failed).to_have_text("No passkey was chosen. Press the button to try again.")
    check(page, "cancelled", pictures)
    page.reload()
    tab_to(page, page.get_by_role("button", name="Use a passkey"))
    page.keyboard.press("Enter")
    paula.is_at("/")
    paula.open(BASE)
    paula.reads("Laptop")
    expect(page.get_by_role("main").get_by_text(re.compile("last used"))).to_be_visible()
    check(page, "list", pictures)

    page.get_by_role("link", name="Remove Laptop").click()
    page.get_by_label("Your password").fill(PASSWORD)
    check(page, "remove", pictures)
    paula.press("Remove it")
    paula.reads("Passkey removed.")
    paula.press("Log out")
    log_in(paula, "paula")
    paula.is_at("/")
    paula.expected += [400]  # the wrong password


def test_what_a_browser_or_an_address_without_passkeys_is_told(
    visitor: OpenVisitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    by_number = visitor(customer=False)
    log_in(by_number, "petra")
    by_number.open(BASE)
    by_number.reads("Open the shop by its name, not by an IP address.")
    expect(by_number.page.get_by_role("link", name="Add a passkey")).to_have_count(0)
    check(by_number.page, "by-number", pictures)

    old = visitor(customer=False, url=f"http://localhost:{staffed_shop.port}")
    old.context.add_init_script("delete window.PublicKeyCredential")
    log_in(old, "petra")
    old.open(f"{BASE}passkeys/add/")
    old.reads("This browser can't use passkeys. Update it, or use another one.")
    expect(old.page.get_by_role("button", name="Add a passkey")).to_have_count(0)

    plain = visitor(
        customer=False, url=f"http://localhost:{staffed_shop.port}", java_script_enabled=False
    )
    log_in(plain, "petra")
    plain.open(f"{BASE}passkeys/add/")
    assert "Passkeys need JavaScript." in plain.page.content()  # Playwright shows no <noscript>
    expect(plain.page.get_by_role("button", name="Add a passkey")).to_have_count(0)
