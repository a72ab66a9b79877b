"""The metrics that running processes expose after a scripted journey."""

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
JOB = "from retail.tasks import roll_up_metrics; roll_up_metrics.enqueue()"
NO_JOBS = "not __import__('django_q.models', fromlist=['OrmQ']).OrmQ.objects.exists()"
JUDGE = "from quality.tasks import judge_scenarios; judge_scenarios()"
PARTNER = """
from partner_feeds.models import Partner
from products.models import Category
category = Category.objects.first()
fields = {"name": "Acme", "category": category, "fresh_within_minutes": 60}
Partner.objects.get_or_create(slug="acme", defaults=fields)
"""
FILE = """
import io
from partner_feeds import intake
from partner_feeds.models import Ingestion, Partner
from partner_feeds.tasks import continue_feed
rows = [b"A%d,Pan,9.90,5" % number for number in range(20)]
file = io.BytesIO(b"\\n".join([b"sku,name,price,stock", *rows, b"B,Pot,cheap,1"]))
partner, upload = Partner.objects.get(slug="acme"), Ingestion.Origin.UPLOAD
continue_feed.enqueue(intake.receive(partner, file, origin=upload).pk)
"""
MOST_ORDERS = 3  # of one product by one customer
# Long times, so that no test depends on the breaker's reset or on the end of a window.
SETTINGS = {
    "BREAKER_RESET_SECONDS": "3600",
    "THROTTLE_CHECKOUT_LIMIT": str(MOST_ORDERS),
    "THROTTLE_CHECKOUT_SECONDS": "86400",
}

Emitted = dict[str, dict[str, set[str]]]
"""Label values by label and by series name."""


def scrape(*addresses: str) -> Emitted:
    """Return the series at these addresses."""
    emitted: Emitted = {}
    for address in addresses:
        text = requests.get(address, timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = emitted.setdefault(sample.name, defaultdict(set))
                for name, value in sample.labels.items():
                    labels[name].add(value)
    return emitted


def journey(shop: RunningShop) -> None:
    """Cause every outcome: orders, an open breaker, throttled checkouts, an audit."""
    requests.head(f"http://127.0.0.1:{shop.port}/", timeout=30)  # as the blackbox exporter
    shop.run(PARTNER)
    shopper = shop.shopper()
    for page in PAGES:
        shopper.get(page)
    shopper.session.head(shop.url).raise_for_status()  # as the blackbox exporter does
    for card in ("tok_good", "tok_declined"):
        shopper.put_in_cart(LAMP)
        shopper.order(card)
    shopper.put_in_cart(FLASH)
    shopper.order()
    shop.gateway.knobs(off=True)
    for _ in range(4):  # no response, until the breaker opens and refuses
        shopper = shop.shopper()
        shopper.put_in_cart(LAMP)
        shopper.order()
    shop.gateway.knobs()
    shop.settle()
    late = shop.shopper()
    for _ in range(MOST_ORDERS + 1):
        late.put_in_cart(LAMP)
        late.order("tok_declined")
    shop.run(FILE)
    shop.run(JOB)
    wait_until(lambda: shop.query(NO_JOBS), "the worker to run the job")
    shop.manage("audit")
    shop.run(JUDGE)
