"""What the shop really emits: one journey through running processes, and what they then expose."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.running.support import wait_until

if TYPE_CHECKING:
    from tests.running.support import RunningShop

LAMP, FLASH = "/products/lumen-desk-lamp/", "/products/aurora-wireless-headphones/"
PAGES = ("/", "/products/", "/products/?q=lamp", "/orders/", "/nowhere/", "/accounts/profile/")
JUDGE = "from quality.tasks import judge_scenarios; judge_scenarios()"
UNSETTLED = "Payment.objects.filter(status__in=['PENDING', 'UNKNOWN']).count()"

Emitted = dict[str, dict[str, set[str]]]
"""Series by name: their labels, and the values that those had."""


def scrape(*addresses: str) -> Emitted:
    """Return the series at these addresses."""
    found: Emitted = {}
    for address in addresses:
        text = requests.get(address, timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = found.setdefault(sample.name, defaultdict(set))
                for name, value in sample.labels.items():
                    labels[name].add(value)
    return found


def journey(shop: RunningShop) -> None:
    """Do all that customers can do: orders of every outcome, a breaker trip, too many orders."""
    shopper = shop.shopper()
    for page in PAGES:
        shopper.get(page)
    for card in ("tok_good", "tok_declined"):
        shopper.put_in_cart(LAMP)
        shopper.order(card)
    shopper.put_in_cart(FLASH)
    shopper.order()
    shop.gateway.knobs(off=True)
    for _ in range(5):  # without an answer, until the breaker opens and refuses
        shopper = shop.shopper()
        shopper.put_in_cart(LAMP)
        shopper.order()
    shop.gateway.knobs()
    wait_until(lambda: shop.query(UNSETTLED) == 0, "the worker to settle")
    late = shop.shopper()
    for _ in range(16):  # one more than a customer may order of one product in a minute
        late.put_in_cart(LAMP)
        late.order("tok_declined")
    shop.manage("audit")
    shop.manage("shell", "--no-imports", "-c", JUDGE)
