"""Refunds on the dashboard, in the API and in the CSV file agree with the table."""

from __future__ import annotations

import csv
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.db.models import Sum
from django.utils import timezone

from retail.history import rollups
from returns.models import Refund
from tests.dashboards.support import PAGE, api_document, cards
from tests.returns.rows import make_paid, make_refund

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def refunds(buyer: User) -> list[Refund]:
    """Create refunds paid out in the last week, one before, and unsettled ones."""
    now, payment = timezone.now(), make_paid(buyer)
    for days, amount in ((0, "19.99"), (0.5, "0.01"), (3, "5.00"), (9, "80.00")):
        make_refund(
            payment, "SUCCEEDED", amount=Decimal(amount), settled_at=now - days * DAY - DAY / 1000
        )
    make_refund(make_paid(buyer, currency="USD"), "SUCCEEDED", amount=Decimal(7))
    make_refund(payment, "PENDING", created_at=now - 2 * DAY)
    make_refund(payment, "FAILED")
    rollups.roll_up(now)
    return list(Refund.objects.order_by("pk"))


def in_api(client: Client) -> dict[str, object]:
    document = api_document(client, 7)
    return {
        "refunds": document["numbers"]["refunds"]["value"],
        "before": document["numbers"]["refunds"]["before"],
        "amount": document["numbers"]["refund_amount"]["value"],
        "per day": document["metrics"]["refunds_per_day"]["value"],
        "daily": sum(document["daily"]["refunds"]["values"]),
        "now": {key: row["value"] for key, row in document["now"].items() if "refunds" in key},
    }


@pytest.mark.usefixtures("refunds")
def test_card_api_and_csv_agree(staff: Client) -> None:
    assert in_api(staff) == {
        "refunds": 4,
        "before": 1,
        "amount": "25.00",
        "per day": 4 / 7,
        "daily": 4,
        "now": {"refunds_unsettled": 2, "refunds_for_staff": 1},
    }
    since = timezone.now() - 7 * DAY
    paid = Refund.objects.filter(status="SUCCEEDED", settled_at__gte=since)
    assert paid.filter(currency="EUR").aggregate(sum=Sum("amount"))["sum"] == Decimal("25.00")
    assert paid.count() == 4
    card = cards(staff, "7d")["Refunds"]
    assert card.startswith("calm: no limit Refunds 4 Amount €25.00")
    assert card.endswith("2 not settled, the oldest for 2 d. Waiting for staff: 1.")
    lines = list(csv.DictReader(StringIO(staff.get(f"{PAGE}csv/?range=7d").content.decode())))
    assert sum(int(line["refunds (refunds)"]) for line in lines) == 4
    assert sum(Decimal(line["refund_amount (EUR)"]) for line in lines) == Decimal("25.00")


def test_a_refund_that_fails_later_is_taken_off_and_owed_again(
    refunds: list[Refund], staff: Client
) -> None:
    Refund.objects.filter(pk=refunds[2].pk).update(
        status="FAILED", failure="gateway", settled_at=None
    )
    rollups.roll_up(timezone.now())
    assert in_api(staff) == {
        "refunds": 3,
        "before": 1,
        "amount": "20.00",
        "per day": 3 / 7,
        "daily": 3,
        "now": {"refunds_unsettled": 3, "refunds_for_staff": 2},
    }


def test_unsettled_refunds_are_shown_without_one_paid_out(buyer: User, staff: Client) -> None:
    make_refund(make_paid(buyer), created_at=timezone.now() - timedelta(minutes=3))
    assert cards(staff)["Refunds"] == (
        "calm: Nothing was refunded in this range. 1 not settled, the oldest for 3 min."
    )
