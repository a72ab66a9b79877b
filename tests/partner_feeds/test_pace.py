"""A file gives way to customers: it pauses while they pay, and its commits take a fixed time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from orders.models import Payment
from orders.services import sale_checkout
from partner_feeds import pace
from partner_feeds.pace import ASK_EVERY_SECONDS, FEWEST, MOST, PAUSE, Pace
from retail.measures import LATELY, customers_pay
from tests.partner_feeds.taking_in import FILE, take_in
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from partner_feeds.models import Partner

pytestmark = pytest.mark.django_db


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr(pace, "sleep", taken.append)
    return taken


@pytest.fixture
def payment(scripted_gateway: object) -> Payment:
    """Return a payment that was settled just now."""
    assert scripted_gateway
    sale = sale_checkout(order=order_for(make_buyer(), make_product()))
    return Payment.objects.get(sale=sale)


def test_customers_pay_while_a_payment_was_settled_lately(payment: Payment) -> None:
    assert customers_pay()
    Payment.objects.filter(pk=payment.pk).update(settled_at=timezone.now() - LATELY)
    assert not customers_pay()
    Payment.objects.filter(pk=payment.pk).update(settled_at=None)
    assert not customers_pay()


@pytest.mark.usefixtures("payment")
def test_a_file_pauses_after_each_commit_while_customers_pay(
    pauses: list[float], partner: Partner
) -> None:
    Pace().learn(40, 0.25)
    assert pauses == [PAUSE * 0.25]
    take_in(partner, FILE)
    assert len(pauses) == 1 + 3  # the batch read, the window compared, the rows applied


def test_a_file_does_not_pause_without_customers(pauses: list[float], partner: Partner) -> None:
    take_in(partner, FILE)
    Pace().learn(40, 0.25)
    assert pauses == []


def test_customers_are_looked_for_once_a_second(
    pauses: list[float], payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(pace, "monotonic", lambda: now)
    some = Pace()
    some.give_way(0.1)
    Payment.objects.filter(pk=payment.pk).update(settled_at=timezone.now() - timedelta(hours=1))
    now = ASK_EVERY_SECONDS - 0.01
    some.give_way(0.1)
    now = ASK_EVERY_SECONDS
    some.give_way(0.1)
    assert len(pauses) == 2


@pytest.mark.usefixtures("pauses")
def test_a_commit_has_as_many_rows_as_fit_into_its_time() -> None:
    some = Pace()
    assert some.size == FEWEST
    some.learn(FEWEST, 0.0001)
    assert some.size == 2 * FEWEST  # by steps
    some.learn(40, 0.025)
    assert some.size == 80
    some.learn(80, 0.08)
    assert some.size == 50
    some.learn(50, 60)
    assert some.size == 25
    some.learn(25, 60)
    assert some.size == FEWEST
    for _ in range(9):
        some.learn(some.size, 0.0001)
    assert some.size == MOST
