"""Visitors of the shop: browser contexts with their own cookies, monitored for errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.retail.mail.server import running
from tests.running.support import PATIENCE, RunningShop

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import (
        BrowserContext,
        ConsoleMessage,
        Locator,
        Page,
        Request,
        Response,
        WebError,
    )

    from drills.shoppers import Shopper

LAMP = "lumen-desk-lamp"
TEAPOT = "stoneware-teapot"
FLASH = "aurora-wireless-headphones"  # charged by the worker
# Created in addition to the ten sample products.
LANTERN = "last-lantern"  # three in stock, only for the test of selling out
CAP = "long-name-cap"  # two in stock; the name is one very long word
GLOBE = "sold-out-globe"
EXTRA_PRODUCTS = f"""
from products.models import Category, Product, StockMovement
from products.services import stock_set
shelf = Category.objects.get(slug="home-garden")
for slug, name, stock in (
    ("{LANTERN}", "Last Lantern", 3),
    ("{CAP}", "Donaudampfschifffahrtsgesellschaftskapitänsmütze", 2),
    ("{GLOBE}", "Sold-out Globe", 0),
):
    product = Product.objects.create(category=shelf, slug=slug, name=name, price="25.00")
    stock_set(product_id=product.pk, stock=stock, reason="seed", reference="tests")
"""
ORDER_TITLE = re.compile(r"^Order \S+ · Vitrine$")
ALERTS_TOKEN = "alerts-token-of-the-browser-tests"
PASSWORD = "a lantern in the rain"
FAIL_MAX = 2  # failures that open the breaker: one order's two attempts
REST = 3600  # the breaker's reset time: so long that no test races against it

# Log violations to the console, because its messages survive navigation.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`refused by ${event.effectiveDirective}: ${event.blockedURI}`));
"""


class ShopWithoutDebug(RunningShop):
    """A shop as in production except for HTTPS: hashed static files, no debug pages."""

    def __init__(self, folder: Path) -> None:
        self._mail = running()
        self.mail = self._mail.__enter__()
        super().__init__(
            folder,
            {
                "EMAIL_HOST": "127.0.0.1",
                "EMAIL_PORT": str(self.mail.port),
                "DEBUG": "False",
                "DEMO": "True",
                "HTTPS": "False",
                "STAFF_MFA": "False",
                "SECRET_KEY": "a-secret-key-for-tests-in-a-browser-that-is-long-enough",
                "ALLOWED_HOSTS": "127.0.0.1,localhost",
                "METRICS_TOKEN": "metrics-token-of-the-browser-tests",
                "ALERTS_TOKEN": ALERTS_TOKEN,
                "RUNBOOKS_DIR": str(folder / "runbooks"),
                "GATEWAY_API_KEY": "gateway-key-of-the-browser-tests",
                "STATIC_ROOT": str(folder / "static"),
                "BREAKER_FAIL_MAX": str(FAIL_MAX),
                "BREAKER_RESET_SECONDS": str(REST),
                "THROTTLE_CHECKOUT_LIMIT": "10",
                "THROTTLE_CHECKOUT_SECONDS": "86400",
            },
        )
        # With DEBUG off the shop refuses the development key, so restart the gateway with this one.
        self.gateway.stop()
        self.gateway.env["GATEWAY_API_KEY"] = self.environment["GATEWAY_API_KEY"]
        self.gateway.url = ""
        self.environment["GATEWAY_URL"] = self.gateway.start().url
        self.manage("collectstatic", "--noinput")
        self.run(EXTRA_PRODUCTS)

    def close(self) -> None:
        """End everything."""
        super().close()
        self._mail.__exit__(None, None, None)


class PageMonitor:
    """Records what no page may do, and error responses."""

    def __init__(self, context: BrowserContext, shop_url: str) -> None:
        self._shop = f"{shop_url}/"
        self.errors: list[str] = []
        self.refused: list[int] = []  # statuses from 400 up, in order
        self.aborted: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # The browser's message about a status from 400 up is handled by `_response`.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.errors.append(f"script: {error.error}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._shop, "data:")):
            self.errors.append(f"another host: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":
            self.errors.append(f"failed: {request.url} {request.failure}")
        elif request.method != "GET":  # leaving a page may abort loading its images
            self.aborted.append(f"{request.method} {request.url.removeprefix(self._shop)}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(response.status)


@dataclass
class Visitor:
    """A user with a browser; `expected` lists the error statuses they expect."""

    context: BrowserContext
    page: Page
    monitor: PageMonitor
    url: str
    shopper: Shopper | None = None  # the same customer, without the browser
    expected: list[int] = field(default_factory=list)
    expected_aborted: list[str] = field(default_factory=list)
    gone: bool = False

    def open(self, path: str) -> None:
        """Open a path."""
        self.page.goto(self.url + path)

    def press(self, button: str) -> None:
        """Press the button with exactly this name."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def follow(self, link: str) -> None:
        """Follow the first link with exactly this name in the main content."""
        self.page.get_by_role("main").get_by_role("link", name=link, exact=True).first.click()

    def sees(self, title: str) -> None:
        """Check the page's main heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title)

    def reads(self, text: str) -> None:
        """Check that the text is visible in the main content."""
        expect(self.page.get_by_role("main").get_by_text(text)).to_be_visible()

    def is_at(self, path: str) -> None:
        """Check the page's URL."""
        expect(self.page).to_have_url(self.url + path)

    def put_in_cart(self, product: str, quantity: int = 1) -> None:
        """Add a product to the cart from its page."""
        self.open(f"/products/{product}/")
        self.page.get_by_label("Quantity").fill(str(quantity))
        self.press("Add to cart")
        self.sees("Your cart")

    def fill_in_checkout(self, card: str = "Test card that is accepted") -> None:
        """Open the checkout and fill it in."""
        self.open("/checkout/")
        self.page.get_by_label("Name", exact=True).fill("Sam Shopper")
        self.page.get_by_label("Address").fill("1 Example Street\nExampletown")
        self.page.get_by_label(card).check()

    @property
    def place_order(self) -> Locator:
        """The button that places the order."""
        return self.page.get_by_role("button", name="Place order")

    def buy(self, card: str = "Test card that is accepted") -> None:
        """Order the cart's contents; end on the order's page."""
        self.fill_in_checkout(card)
        self.place_order.click()
        expect(self.page).to_have_title(ORDER_TITLE)

    def place_order_twice(self) -> None:
        """Press the button again while the first request is pending."""
        self.place_order.scroll_into_view_if_needed()
        box = self.place_order.bounding_box()
        assert box is not None
        for _ in range(2):  # with the mouse, because a locator would wait for the response
            with self.page.expect_request(self._is_order):
                self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def _is_order(self, request: Request) -> bool:
        """Return whether a request submits the checkout form."""
        return request.method == "POST" and request.url == f"{self.url}/checkout/"

    @property
    def status(self) -> Locator:
        """The heading with the order's status."""
        return self.page.locator("#order-status").get_by_role("heading", level=2)

    @property
    def cart_link(self) -> Locator:
        """The link to the cart, with its number of items."""
        return self.page.locator("#cart-link")

    def has_in_cart(self, quantities: dict[str, int]) -> None:
        """Open the cart and check its contents: quantities by product name."""
        self.open("/cart/")
        fields = self.page.get_by_label("Quantity of").all()
        names = self.page.locator(".line h2").all_inner_texts()
        values = (int(field.input_value()) for field in fields)
        assert dict(zip(names, values, strict=True)) == quantities

    def has_orders(self, *statuses: str) -> None:
        """Open the list of orders and check their statuses, newest first."""
        self.open("/orders/")
        expect(self.page.locator("table.orders .pill")).to_have_text(list(statuses))

    def leave(self) -> list[str]:
        """Close the browser context, once; return the errors that its pages caused."""
        if self.gone:
            return []
        self.gone = True
        for page in self.context.pages:
            page.evaluate("0")  # all earlier events have arrived when this returns
        problems = [*self.monitor.errors]
        if self.monitor.refused != self.expected:
            problems.append(f"refused: {self.monitor.refused}, expected: {self.expected}")
        if self.monitor.aborted != self.expected_aborted:
            problems.append(f"aborted: {self.monitor.aborted}, expected: {self.expected_aborted}")
        self.context.close()
        return problems


expect.set_options(timeout=PATIENCE * 1000)
