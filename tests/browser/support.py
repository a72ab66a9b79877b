"""A visitor of the shop: one browser context with its own cookies, watched at every step."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from playwright.sync_api import expect

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
FLASH = "aurora-wireless-headphones"  # its payment is made by the worker
# Made by `shop` in conftest.py, beside the ten sample products.
LANTERN = "last-lantern"  # three of it; only the test of selling out may buy it
CAP = "long-name-cap"  # two of it, and a name that is one very long word
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
AWAY = 2  # gateway calls without an answer that open the breaker: one order's
REST = 3600  # seconds the breaker stays open, so that no test races against it

# Chromium tells of each refused thing by an event; the console carries it over navigations.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`refused by ${event.effectiveDirective}: ${event.blockedURI}`));
"""


class ShopWithoutDebug(RunningShop):
    """A shop as in production, but for HTTPS: hashed static files and its own error pages."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            {
                "DEBUG": "False",
                "HTTPS": "False",
                "SECRET_KEY": "a-secret-key-for-tests-in-a-browser-that-is-long-enough",
                "ALLOWED_HOSTS": "127.0.0.1",
                "METRICS_TOKEN": "metrics-token-of-the-browser-tests",
                "ALERTS_TOKEN": ALERTS_TOKEN,
                "RUNBOOKS_DIR": str(folder / "runbooks"),
                "GATEWAY_API_KEY": "gateway-key-of-the-browser-tests",
                "STATIC_ROOT": str(folder / "static"),
                "BREAKER_FAIL_MAX": str(AWAY),
                "BREAKER_RESET_SECONDS": str(REST),
                "THROTTLE_CHECKOUT_LIMIT": "10",
                "THROTTLE_CHECKOUT_SECONDS": "86400",
            },
        )
        # With DEBUG off the shop refuses the gateway's development key: give the gateway this one.
        self.gateway.stop()
        self.gateway.env["GATEWAY_API_KEY"] = self.environment["GATEWAY_API_KEY"]
        self.gateway.url = ""
        self.environment["GATEWAY_URL"] = self.gateway.start().url
        self.manage("collectstatic", "--noinput")
        self.run(EXTRA_PRODUCTS)


class Watch:
    """Notes what no page of the shop may do, and how often the shop refused something."""

    def __init__(self, context: BrowserContext, shop_url: str) -> None:
        self._shop = f"{shop_url}/"
        self.broken: list[str] = []
        self.refused: list[int] = []  # the statuses from 400 up, in their order
        self.aborted: list[str] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # The browser's line about a status from 400 up: `_response` judges that.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.broken.append(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.broken.append(f"script: {error.error}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._shop, "data:")):
            self.broken.append(f"another host: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":
            self.broken.append(f"failed: {request.url} {request.failure}")
        elif request.method != "GET":  # leaving a page may end the loading of its images
            self.aborted.append(f"{request.method} {request.url.removeprefix(self._shop)}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.refused.append(response.status)


@dataclass
class Visitor:
    """Somebody at a browser. What they expect to be refused, they say."""

    context: BrowserContext
    page: Page
    watch: Watch
    url: str
    shopper: Shopper | None = None  # the same customer, without the browser
    expected: list[int] = field(default_factory=list)
    expected_aborted: list[str] = field(default_factory=list)
    gone: bool = False

    def open(self, path: str) -> None:
        """Open a page by its address."""
        self.page.goto(self.url + path)

    def press(self, button: str) -> None:
        """Press the button that is called exactly so."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def follow(self, link: str) -> None:
        """Follow the first link inside the page's main part that is called exactly so."""
        self.page.get_by_role("main").get_by_role("link", name=link, exact=True).first.click()

    def sees(self, title: str) -> None:
        """Check the page's main heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title)

    def reads(self, text: str) -> None:
        """Check that the page says so, word for word, where it can be seen."""
        expect(self.page.get_by_role("main").get_by_text(text)).to_be_visible()

    def stands_at(self, path: str) -> None:
        """Check the page's address."""
        expect(self.page).to_have_url(self.url + path)

    def put_in_cart(self, product: str, quantity: int = 1) -> None:
        """Put a product into the cart by its page."""
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
        """The button that buys."""
        return self.page.get_by_role("button", name="Place order")

    def buy(self, card: str = "Test card that is accepted") -> None:
        """Buy what is in the cart; end on the order's page."""
        self.fill_in_checkout(card)
        self.place_order.click()
        expect(self.page).to_have_title(ORDER_TITLE)

    def place_order_twice(self) -> None:
        """Press the button that buys again while the first press waits for its answer."""
        self.place_order.scroll_into_view_if_needed()
        box = self.place_order.bounding_box()
        assert box is not None
        for _ in range(2):  # by hand, because a locator would wait for the answer
            with self.page.expect_request(self._is_order):
                self.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def _is_order(self, request: Request) -> bool:
        """Say whether a request sends the checkout's form."""
        return request.method == "POST" and request.url == f"{self.url}/checkout/"

    @property
    def status(self) -> Locator:
        """The heading that says how the order stands."""
        return self.page.locator("#order-status").get_by_role("heading", level=2)

    @property
    def cart_link(self) -> Locator:
        """The link to the cart, with how much is in it."""
        return self.page.locator("#cart-link")

    def has_in_cart(self, quantities: dict[str, int]) -> None:
        """Open the cart and check what is in it: quantities by the products' names."""
        self.open("/cart/")
        fields = self.page.get_by_label("Quantity of").all()
        names = self.page.locator(".line h2").all_inner_texts()
        found = dict(zip(names, (int(one.input_value()) for one in fields), strict=True))
        assert found == quantities, f"{found} is in the cart"

    def has_orders(self, *statuses: str) -> None:
        """Open the history and check the orders' statuses, the newest first."""
        self.open("/orders/")
        expect(self.page.locator("table.orders .pill")).to_have_text(list(statuses))

    def leave(self) -> list[str]:
        """Close the browser's context, once; return what its pages did that none may do."""
        if self.gone:
            return []
        self.gone = True
        for page in self.context.pages:
            page.evaluate("0")  # what happened until now has been told when this comes back
        found = [*self.watch.broken]
        if self.watch.refused != self.expected:
            found.append(f"refused: {self.watch.refused}, expected: {self.expected}")
        if self.watch.aborted != self.expected_aborted:
            found.append(f"aborted: {self.watch.aborted}, expected: {self.expected_aborted}")
        self.context.close()
        return found


expect.set_options(timeout=PATIENCE * 1000)
