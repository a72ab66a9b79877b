"""A customer resets a forgotten password."""

import quopri
import re
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import PASSWORD, ShopWithoutDebug
from tests.running.support import wait_until

NEW_PASSWORD = "quite-another-horse-9"


def link(shop: ShopWithoutDebug, page: str = "password-reset") -> str:
    """Return the path of the link in the only e-mail with one, or "" before it is sent."""
    text = quopri.decodestring("".join(shop.mail.texts).encode()).decode()
    match = re.search(rf"http\S+/{page}/\S+", text)
    return urlsplit(match[0]).path if match else ""


def test_the_emailed_link_leads_to_a_new_password_that_works_once(
    visitor: OpenVisitor, shop: ShopWithoutDebug
) -> None:
    somebody = visitor(customer=False)
    page = somebody.page
    somebody.open("/accounts/register/")
    page.get_by_label("Username").fill("forgetful")
    page.get_by_label("Email").fill("forgetful@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    somebody.press("Create account")
    somebody.reads("Open the link that we've sent you to confirm your address.")
    shop.start("worker")
    wait_until(lambda: link(shop, "confirm-email"), "the e-mail")
    somebody.open(link(shop, "confirm-email"))
    somebody.press("Confirm")
    somebody.reads("forgetful@example.com is confirmed.")
    somebody.press("Log out")

    somebody.open("/accounts/login/")
    somebody.follow("Forgot your password?")
    page.get_by_label("Email").fill("forgetful@example.com")
    somebody.press("Send reset link")
    somebody.sees("Check your e-mail")
    wait_until(lambda: link(shop), "the e-mail")

    somebody.open(link(shop))
    somebody.sees("Choose a new password")
    page.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    page.get_by_label("New password confirmation").fill(NEW_PASSWORD)
    somebody.press("Change password")
    somebody.reads("Password changed. Log in with your new password.")
    page.get_by_label("Username").fill("forgetful")
    page.get_by_label("Password").fill(NEW_PASSWORD)
    somebody.press("Log in")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()

    somebody.open(link(shop))
    somebody.sees("This link no longer works")
