"""A partner's files at staff's desk in the browser: tested, taken in, held, decided, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.looks import examine
from tests.browser.support import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.browser.conftest import OpenVisitor
    from tests.browser.support import ShopWithoutDebug, Visitor

MERCHANDISER = f"""
from django.contrib.auth.models import Group, User
from partner_feeds.models import Partner
user = User.objects.create_user("feeds-desk", password="{PASSWORD}", is_staff=True)
user.groups.set(Group.objects.filter(name="merchandiser"))
home = Category.objects.get(slug="home-garden")
for name, values in {{
    "Acme Kitchenware": {{"fresh_within_minutes": 1440}},
    "Birch & Sons": {{"format": "xml", "mapping": "google", "is_active": False}},
    "Cedar Wholesale": {{
        "address": "https://cedar.example/feed?key=x", "fetch_every_minutes": 60,
        "fresh_within_minutes": 120, "format": "jsonl",
    }},
}}.items():
    Partner.objects.create(name=name, slug=name.split()[0].lower(), category=home, **values)
"""
# The other tests find the products of the seed, and a shop that never had a file.
AS_BEFORE = """
from partner_feeds.models import Ingestion, Partner
Ingestion.objects.exclude(takes_back=None).delete()
for model in (Ingestion, Partner, Product.objects.filter(source="acme")):
    getattr(model, "objects", model).all().delete()
"""
NAMES = ("Kettle", "Pan", "Chopping board", "Carving knife", "Salad bowl", "Rolling pin")


def products(factor: float = 1, stock: int = 5) -> bytes:
    """Return a file of 40 products; each third has another price, and each fourth sells out."""
    lines = ["sku,name,category,price,stock"]
    for number in range(40):
        price = (10 + 1.5 * number) * (factor if number % 3 == 0 else 1)
        units = stock * number if number % 4 else 0 if factor != 1 else 7
        lines.append(f"AC-{number:03},{NAMES[number % 6]} {number},Garden,{price:.2f},{units}")
    lines += ["AC-900,Without a price,Garden,free,1", "AC-901,Negative,Garden,10.00,-4"]
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def feeds_shop(running_shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop with three partners, and staff who handle their files."""
    running_shop.run(MERCHANDISER)
    yield running_shop
    running_shop.run(AS_BEFORE)


@pytest.fixture
def desk(visitor: OpenVisitor, feeds_shop: ShopWithoutDebug) -> Visitor:
    """Return staff on the desk."""
    staff = visitor(customer=False)
    staff.open("/desk/feeds/")
    staff.page.get_by_label("Username").fill("feeds-desk")
    staff.page.get_by_label("Password").fill(PASSWORD)
    staff.press("Log in")
    staff.sees("Feeds")
    return staff


def choose(desk: Visitor, content: bytes) -> None:
    """Choose a file in Acme's form."""
    desk.open("/desk/feeds/acme/")
    file = {"name": "products.csv", "mimeType": "text/csv", "buffer": content}
    desk.page.get_by_label("File", exact=True).set_input_files(file)  # type: ignore[arg-type]


def test_a_file_is_tested_and_taken_in(
    desk: Visitor, feeds_shop: ShopWithoutDebug, pictures: Path
) -> None:
    examine(desk.page, "feeds-list", pictures)
    desk.follow("Cedar Wholesale")
    desk.sees("Cedar Wholesale")
    examine(desk.page, "feeds-partner-fetched", pictures)
    choose(desk, products())
    examine(desk.page, "feeds-partner", pictures)
    desk.press("Test this feed")
    desk.reads("42 rows read, 40 good.")
    examine(desk.page, "feeds-trial", pictures)
    desk.follow("Back to Acme Kitchenware")
    desk.reads("None yet.")
    choose(desk, b"")
    desk.press("Take in")
    expect(desk.page.locator(".field-errors")).to_have_text(
        "The file is empty. Choose another one."
    )
    desk.expected = [400]
    examine(desk.page, "feeds-partner-error", pictures)

    choose(desk, products())
    desk.press("Take in")
    desk.reads("It waits for the worker.")
    examine(desk.page, "feeds-reading", pictures)
    feeds_shop.start("worker")
    desk.reads("40 products created")  # without a reload by hand
    examine(desk.page, "feeds-done", pictures)
    with desk.page.expect_download() as download:
        desk.follow("Download all rejected rows (CSV)")
    reference = desk.page.url.rstrip("/").rpartition("/")[2]
    assert download.value.suggested_filename == f"{reference}.csv"
    assert '"AC-901","Negative","Garden","10.00","\'-4","43"' in download.value.path().read_text()


def test_a_held_file_is_applied_and_taken_back(
    desk: Visitor, feeds_shop: ShopWithoutDebug, pictures: Path
) -> None:
    feeds_shop.start("worker")
    choose(desk, products(stock=6))
    desk.press("Take in")
    desk.reads("Applied")
    choose(desk, products(factor=10))
    desk.press("Take in")
    desk.reads("Held: more would change than usual")
    examine(desk.page, "feeds-held", pictures)
    desk.open("/desk/feeds/")
    examine(desk.page, "feeds-list-held", pictures)
    desk.page.get_by_role("row", name="Acme").get_by_role("link", name="Held").click()
    desk.press("Apply anyway")
    assert desk.page.evaluate("document.activeElement.name") == "reason"  # the browser asks for it
    desk.page.get_by_label("Reason").fill("Season's prices, confirmed by phone.")
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Enter")
    desk.reads("0 products created")
    examine(desk.page, "feeds-applied-anyway", pictures)
    desk.page.get_by_text("Take back", exact=True).first.click()
    examine(desk.page, "feeds-take-back", pictures)
    desk.press("Take back")
    desk.reads("was undone in")
    examine(desk.page, "feeds-taken-back", pictures)


def test_a_key_is_created_and_revoked(desk: Visitor, pictures: Path) -> None:
    desk.open("/desk/feeds/acme/")
    desk.follow("API keys")
    examine(desk.page, "feeds-keys-none", pictures)
    desk.press("Create a key")
    desk.reads("Copy it now")
    examine(desk.page, "feeds-key-new", pictures)
    secret = desk.page.locator(".feed-secret").inner_text()
    desk.open("/desk/feeds/acme/keys/")
    expect(desk.page.get_by_role("main")).not_to_contain_text(secret)
    desk.page.get_by_role("group").get_by_text("Revoke").first.click()
    examine(desk.page, "feeds-keys", pictures)
    desk.page.get_by_role("button", name="Revoke vtf_").click()
    desk.reads("Revoked keys")
    desk.open("/desk/feeds/acme/")
    desk.follow("Edit settings")
    expect(desk.page.get_by_label("Format:")).to_have_value("csv")
    desk.page.screenshot(path=pictures / "feeds-admin.png", full_page=True)
