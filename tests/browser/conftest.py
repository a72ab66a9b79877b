"""A browser, a running shop and visitors."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.looks import DESKTOP
from tests.browser.support import PageMonitor, ShopWithoutDebug, Visitor
from tests.running.support import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.left_out import LeaveOut

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class OpenVisitor(Protocol):
    """The function that opens a visitor."""

    def __call__(self, *, customer: bool = True, url: str = "", **options: Any) -> Visitor:
        """Return a visitor of the shop, at its usual address or another.

        Options are passed to Playwright's browser context.
        """


@pytest.fixture(scope="session")
def chromium(left_out: LeaveOut) -> str:
    """Return the path of Playwright's Chromium, or else the system's."""
    with sync_playwright() as playwright:
        bundled = playwright.chromium.executable_path
    return (
        (bundled if Path(bundled).exists() else None)
        or next(filter(None, map(shutil.which, NAMES)), None)
        or left_out(
            "chromium",
            "the pages were not tested in a browser",
            "sudo apt-get install --no-install-recommends chromium",
        )
    )


# Not session-scoped: while Playwright runs, Django refuses database access in this thread, which
# later tests need.
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
    """Return a shop with a running web process. Tests that need the worker start it."""
    shop = ShopWithoutDebug(tmp_path_factory.mktemp("shop"))
    try:
        shop.start("web", GATEWAY_READ_TIMEOUT=str(PATIENCE))  # no test races against it
        yield shop
    finally:
        shop.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for screenshots."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def shop(running_shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop; after each test, stop the worker and reset the gateway."""
    yield running_shop
    running_shop.gateway.knobs()
    if "worker" in running_shop.processes:
        running_shop.end("worker")


@pytest.fixture
def visitor(browser: Browser, shop: ShopWithoutDebug) -> Iterator[OpenVisitor]:
    """Return a function that opens a new visitor, by default a new customer who is logged in."""
    visitors: list[Visitor] = []

    def open_one(*, customer: bool = True, url: str = "", **options: Any) -> Visitor:
        url = url or shop.url
        viewport = {"width": DESKTOP[0], "height": DESKTOP[1]}
        context = browser.new_context(**{"viewport": viewport, **options})
        context.set_default_timeout(PATIENCE * 1000)
        new = Visitor(context, context.new_page(), PageMonitor(context, url), url)
        visitors.append(new)
        if customer:
            new.shopper = shop.shopper()
            cookies = new.shopper.session.cookies.get_dict()
            context.add_cookies(
                [{"name": name, "value": cookies[name], "url": shop.url} for name in cookies]
            )
        return new

    yield open_one
    assert [line for each in visitors for line in each.leave()] == []
