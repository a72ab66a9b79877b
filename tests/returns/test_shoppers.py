"""Synthetic shoppers cancel some orders, so that a demo has refunds to show."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from drills import shoppers
from orders.models import Sale
from returns.models import Refund
from tests.support import make_product

if TYPE_CHECKING:
    from pytest_django.live_server_helper import LiveServer

    from tests.support import ScriptedGateway


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("share", [0, 1])
def test_a_shopper_cancels_an_order(
    live_server: LiveServer,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
    share: int,
) -> None:
    del scripted_gateway
    make_product(stock=50)
    monkeypatch.setattr(shoppers, "CANCELLED", share)
    monkeypatch.setattr(shoppers, "CARDS", {"tok_good": 1})
    shopper = shoppers.Shopper(live_server.url)
    shopper.register()
    shoppers._visit(shopper)
    sale = Sale.objects.get()
    assert (sale.status, sale.cancelled_at is not None) == ("CONFIRMED", share == 1)
    refunds = [(refund.reason, refund.amount) for refund in Refund.objects.all()]
    assert refunds == [("cancellation", Decimal(sale.total))] * share
