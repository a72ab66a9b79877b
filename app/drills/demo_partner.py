"""A synthetic partner, so that a demo has feeds: a file every twelve minutes, some with a bad row.

It exists once `manage.py demo_partner` has been run, and delivers as long as it is active.
"""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

from django.conf import settings

from partner_feeds import intake
from partner_feeds.models import Ingestion, Partner
from partner_feeds.tasks import continue_feed
from products.models import Category

if TYPE_CHECKING:
    from datetime import datetime

SLUG, NAME = "wharfside", "Wharfside Kitchenware"
EVERY_MINUTES = 12
GOODS = (
    *("Cast-iron Pan", "Saucepan", "Stock Pot", "Wok", "Casserole Dish", "Roasting Tin"),
    *("Chef's Knife", "Bread Knife", "Paring Knife", "Kitchen Shears", "Chopping Board", "Grater"),
    *("Mixing Bowl", "Whisk", "Rolling Pin", "Measuring Jug", "Kitchen Scale", "Tea Towel Set"),
)


def is_allowed() -> bool:
    """Return whether the shop may have synthetic products: in development, or in a demo."""
    return bool(settings.DEBUG or settings.DEMO)


def start() -> Partner:
    """Create the partner, or let it deliver again."""
    category = Category.objects.filter(slug="home-garden").first()
    values = {"name": NAME, "category": category, "fresh_within_minutes": 6 * EVERY_MINUTES}
    return Partner.objects.update_or_create(
        slug=SLUG, defaults={"is_active": True}, create_defaults=values
    )[0]


def stop() -> None:
    """Let the partner deliver no more. Its products stay."""
    Partner.objects.filter(slug=SLUG).update(is_active=False)


def file_at(moment: datetime) -> bytes:
    """Return the file of a moment: the same goods, some with another price or stock."""
    period = int(moment.timestamp()) // (60 * EVERY_MINUTES)
    rng = random.Random(period)  # noqa: S311 - chance, not secrecy
    lines = ["sku,name,category,price,stock"]
    for number, name in enumerate(GOODS, 1):
        cents = 1490 + 350 * number
        if number == 1 + period % len(GOODS):
            cents = cents * rng.randint(95, 105) // 100
        cell = f"{cents // 100}.{cents % 100:02}"
        lines.append(f"WK-{number:03},Wharfside {name},Home & Garden,{cell},{rng.randint(15, 60)}")
    if period % 2:
        lines.append("WK-900,Gift Card,Home & Garden,on request,1")  # rejected: no price
    return "\n".join(lines).encode()


def deliver(moment: datetime) -> Ingestion | None:
    """Deliver the file of a moment for the worker to take in; return None without a partner.

    Raises IngestionRefusedError while the last one is still being taken in.
    """
    partner = Partner.objects.filter(slug=SLUG, is_active=True).first()
    if partner is None or not is_allowed():
        return None
    file = io.BytesIO(file_at(moment))
    ingestion = intake.receive(partner, file, origin=Ingestion.Origin.PUSH)
    if ingestion.status == Ingestion.Status.READING:
        continue_feed.enqueue(ingestion.pk)
    return ingestion
