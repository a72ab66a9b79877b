"""A customer resets a forgotten password."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.support import PASSWORD, ShopWithoutDebug
from tests.running.support import wait_until

NEW_PASSWORD = "quite-another-horse-9"


def link(shop: ShopWithoutDebug) -> str:
    """Return the path of the link in the only e-mail with one, or "" before it is sent."""
    files = (shop.folder / "var" / "mail").glob("*.log")
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    # Undo the quoted-printable encoding, which may fold the link.
    text = text.replace("=\n", "").replace("=3D", "=")
    match = re.search(r"http\S+/password-reset/\S+", text)
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
    somebody.press("Log out")

    somebody.open("/accounts/login/")
    somebody.follow("Forgot your password?")
    page.get_by_label("Email").fill("forgetful@example.com")
    somebody.press("Send reset link")
    somebody.sees("Check your e-mail")
    shop.start("worker")
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
