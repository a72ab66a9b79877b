"""A browser, a shop of real processes, and visitors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.looks import DESKTOP
from tests.browser.support import ShopWithoutDebug, Visitor, Watch
from tests.running.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class OpenVisitor(Protocol):
    """How a test asks for a visitor."""

    def __call__(self, *, customer: bool = True, **options: Any) -> Visitor:
        """Return one; options are those of Playwright's browser context."""


@pytest.fixture(scope="session")
def chromium(left_out: LeaveOut) -> str:
    """Return the path of Playwright's own Chromium, or else of the system's."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return (
        (own if Path(own).exists() else None)
        or next(filter(None, map(shutil.which, NAMES)), None)
        or left_out(
            "chromium",
            "nobody has looked at the pages with a browser",
            "sudo apt-get install --no-install-recommends chromium",
        )
    )


# Not for the session: while Playwright runs, its thread counts as asynchronous and Django refuses
# to touch the database, which the tests after these do.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Return a browser."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=False, args=FLAGS
        )


@pytest.fixture(scope="session")
def running_shop(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ShopWithoutDebug]:
    """Return a shop whose web process runs. The worker is started by the tests that need it."""
    shop = ShopWithoutDebug(tmp_path_factory.mktemp("shop"))
    try:
        shop.start("web", GATEWAY_READ_TIMEOUT=str(PATIENCE))  # no test races against it
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for pictures of the pages, for people to look at."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def shop(running_shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop; after each test no worker runs and the gateway is well again."""
    yield running_shop
    running_shop.gateway.knobs()
    if "worker" in running_shop.processes:
        running_shop.end("worker")


@pytest.fixture
def visitor(browser: Browser, shop: ShopWithoutDebug) -> Iterator[OpenVisitor]:
    """Return a function that sends a new visitor to the shop: a new customer, logged in."""
    visitors: list[Visitor] = []

    def open_one(*, customer: bool = True, **options: Any) -> Visitor:
        viewport = {"width": DESKTOP[0], "height": DESKTOP[1]}
        context = browser.new_context(**{"viewport": viewport, **options})
        context.set_default_timeout(PATIENCE * 1000)
        one = Visitor(context, context.new_page(), Watch(context, shop.url), shop.url)
        visitors.append(one)
        if customer:
            one.shopper = shop.shopper()
            cookies = one.shopper.session.cookies.get_dict()
            context.add_cookies(
                [{"name": name, "value": cookies[name], "url": shop.url} for name in cookies]
            )
        return one

    yield open_one
    assert [line for one in visitors for line in one.leave()] == []
