"""The synthetic partner delivers files that the shop takes in like any other's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum

from drills import demo_partner
from drills.tasks import deliver_demo_file
from partner_feeds.models import Ingestion, Partner
from partner_feeds.tasks import continue_feed
from products.models import Category, Product
from retail.thresholds import THRESHOLDS
from tests.partner_feeds.taking_in import counts
from tests.support import unbalanced_products

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
GOODS = len(demo_partner.GOODS)


@pytest.fixture(autouse=True)
def _development(settings: Settings) -> None:
    settings.DEBUG = True
    Category.objects.create(name="Home & Garden", slug="home-garden")


def test_the_command_creates_the_partner_and_delivers_its_first_file() -> None:
    output = StringIO()
    call_command("demo_partner", stdout=output)
    call_command("demo_partner", stdout=output)  # the first file is still to be read
    assert output.getvalue() == "Wharfside Kitchenware delivers a file every 12 minutes.\n" * 2
    ingestion = Ingestion.objects.get()
    continue_feed(ingestion.pk)
    ingestion.refresh_from_db()
    assert (ingestion.status, ingestion.created) == ("DONE", GOODS)
    home = Product.objects.filter(source="wharfside", category__slug="home-garden")
    assert home.filter(is_active=True, stock__gte=15).count() == GOODS


def test_the_files_of_a_day_are_taken_in_and_raise_no_alert() -> None:
    demo_partner.start()
    each = timedelta(minutes=demo_partner.EVERY_MINUTES)
    for number in range(24 * 60 // demo_partner.EVERY_MINUTES):
        ingestion = demo_partner.deliver(NOON + number * each)
        assert ingestion is not None
        continue_feed(ingestion.pk)
        ingestion.refresh_from_db()
        assert ingestion.status == "DONE", ingestion.held_for
        assert counts(ingestion)[:2] == (GOODS + number % 2, GOODS if number == 0 else 0)
        assert ingestion.updated > 0 or number == 0
    total = Ingestion.objects.aggregate(rows=Sum("rows"), rejected=Sum("rejected"))
    assert 0 < total["rejected"] / total["rows"] < THRESHOLDS.feed_rejects.most_ratio / 2
    assert unbalanced_products() == []


def test_the_job_delivers_once_the_partner_exists() -> None:
    assert deliver_demo_file() == 0
    assert not Partner.objects.exists()
    demo_partner.start()
    assert deliver_demo_file() == 1
    assert deliver_demo_file() == 0  # the last one is not done yet
    assert Ingestion.objects.get().origin == "push"
    Ingestion.objects.update(status="FAILED", finished_at=NOON)
    call_command("demo_partner", "--stop", stdout=StringIO())
    assert deliver_demo_file() == 0
    assert Ingestion.objects.count() == 1
    call_command("demo_partner", stdout=StringIO())
    assert Ingestion.objects.count() == 2
    assert Partner.objects.count() == 1


def test_a_real_shop_has_no_synthetic_products(settings: Settings) -> None:
    demo_partner.start()
    settings.DEBUG = False
    with pytest.raises(CommandError, match=r"^Synthetic products need DEBUG=True or DEMO=True.$"):
        call_command("demo_partner")
    assert deliver_demo_file() == 0
    assert not Ingestion.objects.exists()
    settings.DEMO = True
    assert deliver_demo_file() == 1
