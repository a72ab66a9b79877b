"""Somebody has forgotten the password."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import PASSWORD, ShopWithoutDebug
from tests.running.support import wait_until

NEW_PASSWORD = "quite-another-horse-9"


def link(shop: ShopWithoutDebug) -> str:
    """Return the path of the link in the one letter that the shop has written."""
    [letter] = (shop.folder / "var" / "mail").glob("*.log")
    # The address may be folded by the letter's encoding.
    text = letter.read_text(encoding="utf-8").replace("=\n", "").replace("=3D", "=")
    found = re.search(r"http\S+/password-reset/\S+", text)
    return urlsplit(found[0]).path if found else ""


def test_the_link_in_the_letter_leads_to_a_new_password_that_opens_the_account(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    somebody = visitor(customer=False)
    page = somebody.page
    somebody.open("/accounts/register/")
    page.get_by_label("Username").fill("forgetful")
    page.get_by_label("Email").fill("forgetful@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    somebody.press("Make my account")
    somebody.press("Log out")

    somebody.open("/accounts/login/")
    somebody.follow("Have it reset")
    page.get_by_label("Email").fill("forgetful@example.com")
    somebody.press("Send the link")
    somebody.sees("Look into your mail")
    wait_until(lambda: link(shop), "the letter")

    somebody.open(link(shop))
    somebody.sees("Choose a new password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("New password confirmation").fill(NEW_PASSWORD)
    somebody.press("Change my password")
    somebody.reads("Your password is changed. Log in with the new one.")
    page.get_by_label("Username").fill("forgetful")
    page.get_by_label("Password").fill(NEW_PASSWORD)
    somebody.press("Log in")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    somebody.open(link(shop))
    somebody.sees("That link no longer works")
