"""The audit compares what files recorded with the stock ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from partner_feeds import services
from partner_feeds.applying import apply_all
from partner_feeds.models import AppliedChange, Ingestion
from products.models import Product, StockMovement
from tests.audits import checkpoint_of, open_violations
from tests.partner_feeds.taking_in import FILE, make_partner, take_in

pytestmark = pytest.mark.django_db
NAME = "feed_moved_as_applied"


def test_a_file_that_moved_other_stock_than_it_recorded_is_found() -> None:
    ingestion = take_in(make_partner(), FILE)
    assert open_violations(NAME, full=True) == {}

    a1, a3 = (Product.objects.get(sku=sku).pk for sku in ("A1", "A3"))
    StockMovement.objects.filter(product=a1, reason="feed").update(quantity=4)
    StockMovement.objects.filter(product=a3, reason="feed").delete()
    detail = (
        f"product {a1}: 5 by the file, 4 in the ledger; "
        f"product {a3}: 7 by the file, 0 in the ledger"
    )
    assert open_violations(NAME, full=True) == {ingestion.reference: detail}
    AppliedChange.objects.filter(ingestion=ingestion).delete()
    detail = f"product {a1}: 0 by the file, 4 in the ledger"
    assert open_violations(NAME) == {ingestion.reference: detail}
    StockMovement.objects.filter(reason="feed").delete()
    assert open_violations(NAME) == {}


def test_many_products_are_counted_in_place_of_named() -> None:
    lines = [f"B{number},Thing {number},2.00,1" for number in range(7)]
    ingestion = take_in(make_partner(), "\n".join(["sku,name,price,stock", *lines]).encode())
    StockMovement.objects.filter(reason="feed").delete()
    detail = open_violations(NAME, full=True)[ingestion.reference]
    assert detail.count(": 1 by the file, 0 in the ledger") == 3
    assert detail.endswith("; 4 more products")


def test_a_file_that_is_taken_back_or_forgotten_is_not_compared() -> None:
    partner = make_partner()
    first = take_in(partner, FILE)
    second = take_in(partner, FILE.replace(b",5", b",6"))
    apply_all(services.take_back(second, user_id=None))
    assert open_violations(NAME, full=True) == {}
    AppliedChange.objects.filter(ingestion=first).delete()
    assert set(open_violations(NAME, full=True)) == {first.reference}
    Ingestion.objects.filter(pk=first.pk).update(finished_at=timezone.now() - timedelta(days=13))
    assert open_violations(NAME, full=True) == {}


def test_a_file_that_waits_for_staff_is_compared_once_it_is_applied() -> None:
    partner = make_partner()
    limits = {"most_price_factor": 1.1}
    type(partner).objects.filter(pk=partner.pk).update(**limits)
    partner.refresh_from_db()
    take_in(partner, FILE)
    held = take_in(partner, FILE.replace(b"24.90,5", b"49.90,6"))
    assert held.status == "HELD"
    Ingestion.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert open_violations(NAME) == {}
    assert checkpoint_of(NAME) < held.pk
    services.apply_anyway(held, user_id=None, reason="Season's prices")
    apply_all(held)
    StockMovement.objects.filter(reference=held.reference).delete()
    assert set(open_violations(NAME)) == {held.reference}
