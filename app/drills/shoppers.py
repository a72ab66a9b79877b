"""Synthetic shoppers: customers who browse and buy through the public pages.

    python -m drills.shoppers --url http://127.0.0.1:8000 --shoppers 3

Uses HTTP only, not Django. Stop it with SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import re
import secrets
import sys
import threading
import time
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests

from deployment import mode_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from requests import Response

LOCAL = {"127.0.0.1", "localhost", "::1", "web"}  # "web" is the shop's name inside compose
TIMEOUT = 15  # seconds
PAGES = 3  # product pages opened before each purchase
# Payments per thousand, by card: as in a healthy shop, so that no alert fires.
CARDS = {"tok_good": 978, "tok_declined": 20, "tok_slow": 2}
CANCELLED = 0.04  # share of orders
SEARCHES = ("lamp", "tea", "book", "rain", "olive", "watch", "wool")

logger = logging.getLogger("drills.shoppers")


class _Forms(HTMLParser):
    """Collects a page's forms: the address and the submitted values of each."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add a form, or a field of the current form."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((attributes.get("action", ""), {}))
        elif not self.forms or not attributes.get("name"):
            return
        elif tag == "textarea":
            self._area = attributes["name"]
            self.forms[-1][1][self._area] = ""
        elif tag == "input" and (
            attributes.get("type") not in {"radio", "checkbox"} or "checked" in attributes
        ):
            self.forms[-1][1][attributes["name"]] = attributes.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Leave the text area."""
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        """Add text inside a text area."""
        if self._area is not None:
            self.forms[-1][1][self._area] += data.strip()


def form_of(page: Response, action: str) -> dict[str, str]:
    """Return the values of the page's form whose address ends with `action`.

    Raises LookupError if the page has no such form.
    """
    parser = _Forms()
    parser.feed(page.text)
    for address, fields in parser.forms:
        if urlsplit(urljoin(page.url, address)).path.endswith(action):
            return fields
    raise LookupError(f"{page.url} ({page.status_code}) has no form for {action}")


class Shopper:
    """A customer whose browser has no JavaScript."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str) -> Response:
        """Open a page."""
        return self.session.get(self.url + path, timeout=TIMEOUT)

    def submit(self, page: Response, action: str, **values: str) -> Response:
        """Fill in and send the form of `page` whose address ends with `action`."""
        fields = {**form_of(page, action), **values}
        address = self.url + action
        headers = {"Referer": page.url, "Origin": self.url}
        return self.session.post(address, data=fields, headers=headers, timeout=TIMEOUT)

    def register(self) -> None:
        """Create an account."""
        password = secrets.token_urlsafe(16)
        self.submit(
            self.get("/accounts/register/"),
            "/accounts/register/",
            username=f"shopper-{secrets.token_hex(5)}",
            password1=password,
            password2=password,
        ).raise_for_status()

    def products(self) -> list[str]:
        """Return the addresses of the products on the first page."""
        page = self.get("/products/").text
        return sorted(set(re.findall(r'href="(/products/[\w-]+/)"', page)))

    def put_in_cart(self, product: str, quantity: int = 1) -> Response:
        """Put a product into the cart. Raises LookupError if it is sold out."""
        return self.submit(self.get(product), "/cart/add/", quantity=str(quantity))

    def order(self, card: str = "tok_good") -> Response:
        """Order the cart; return the last page."""
        return self.submit(
            self.get("/checkout/"),
            "/checkout/",
            delivery_name="Sam Shopper",
            delivery_address="1 Example Street\nExampletown",
            payment_token=card,
        )

    def cancel(self, order: Response) -> Response:
        """Cancel an order by its page. Raises LookupError if it cannot be cancelled."""
        address = f"{urlsplit(order.url).path}cancel/"
        return self.submit(self.get(address), address)


def _visit(shopper: Shopper) -> None:
    """Open some pages and buy one or two units of a product."""
    products = shopper.products()
    if not products:
        return
    shopper.get("/")
    shopper.get(f"/products/?q={random.choice(SEARCHES)}")  # noqa: S311 - not for cryptography
    for product in random.sample(products, min(PAGES, len(products))):
        shopper.get(product)
    product = random.choice(products)  # noqa: S311
    shopper.put_in_cart(product, random.choice((1, 1, 2)))  # noqa: S311
    [card] = random.choices(list(CARDS), list(CARDS.values()))  # noqa: S311
    page = shopper.order(card)
    logger.info("%s: %s %s", product, page.status_code, urlsplit(page.url).path)
    paid = card == "tok_good" and f"{shopper.url}/orders/" in page.url
    if paid and random.random() < CANCELLED:  # noqa: S311
        logger.info("cancelled: %s", shopper.cancel(page).status_code)


def _shop(url: str, pause: float, stop: threading.Event) -> None:
    """Act as one customer after another until stopped."""
    shopper: Shopper | None = None
    while not stop.is_set():
        try:
            if shopper is None or random.random() < 0.1:  # noqa: S311, PLR2004 - a new customer now and then
                shopper = Shopper(url)
                shopper.register()
            _visit(shopper)
        except (requests.RequestException, LookupError) as error:
            logger.warning("%s", error)
            shopper = None
        stop.wait(random.uniform(0.5, 1.5) * pause)  # noqa: S311


def _wait_for(url: str, seconds: float = 60) -> bool:
    """Wait until the shop responds; return whether it did."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if requests.get(url + "/healthz", timeout=2).ok:
                return True
        except requests.RequestException:
            pass
        time.sleep(0.5)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shoppers; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="address of the shop (local only)"
    )
    parser.add_argument("--shoppers", type=int, default=3, help="number of shoppers (1 to 20)")
    parser.add_argument("--pause", type=float, default=8, help="seconds between visits")
    parser.add_argument("--verbose", action="store_true", help="print each purchase")
    chosen = parser.parse_args(arguments)
    if not mode_of(os.environ).stand_ins:
        parser.error("shoppers pay with test cards: set DEBUG=True or DEMO=True, as in the shop")
    if urlsplit(chosen.url).hostname not in LOCAL:
        parser.error("--url must be a shop on this machine")
    if not 1 <= chosen.shoppers <= 20 or chosen.pause < 0.1:  # noqa: PLR2004
        parser.error("--shoppers must be 1 to 20, and --pause at least 0.1")
    logging.basicConfig(
        level=logging.INFO if chosen.verbose else logging.ERROR, format="%(message)s"
    )
    if not _wait_for(chosen.url):
        print(f"No shop responds at {chosen.url}.", file=sys.stderr)  # noqa: T201
        return 1
    stop = threading.Event()
    threads = [
        threading.Thread(target=_shop, args=(chosen.url, chosen.pause, stop), daemon=True)
        for _ in range(chosen.shoppers)
    ]
    for thread in threads:
        thread.start()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        stop.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
