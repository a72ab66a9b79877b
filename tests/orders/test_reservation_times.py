"""A payment's age counts from when it could first be sent, not from before the wait for locks."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connections, transaction
from django.utils import timezone

from orders import recovery
from orders.models import Payment, Sale
from orders.reservation import reserve
from products.models import Product, StockMovement
from tests.support import ScriptedGateway, order_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.contrib.auth.models import User
    from pytest_django import Settings

pytestmark = pytest.mark.django_db(transaction=True)

HELD = 2.0  # seconds


@contextmanager
def locked(product: Product) -> Iterator[None]:
    """Hold the product's row (on SQLite: the database) until HELD seconds after the start."""
    held, asked = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                Product.objects.filter(pk=product.pk).update(description="changed")
                held.set()
                asked.wait()
                time.sleep(HELD)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    asked.set()
    yield
    holder.join()


def test_the_wait_for_a_lock_is_not_part_of_a_payments_age(
    buyer: User, lamp: Product, settings: Settings, scripted_gateway: ScriptedGateway
) -> None:
    settings.PAYMENT_CANCEL_AFTER = HELD / 2
    order = order_for(buyer, lamp)
    asked = timezone.now()
    with locked(lamp):
        sale, payment = reserve(order, "key")
        # The time between our clock and the server's receipt of the statement is not known.
        assert payment.created_at >= asked + timedelta(seconds=HELD / 2)
        recovery.finish(payment)
    assert scripted_gateway.cancelled == []
    assert [charge.key for charge in scripted_gateway.charged] == ["key"]
    stored = Payment.objects.select_related("sale").get()
    movement = StockMovement.objects.get(reason="sale")
    assert stored.sale == Sale.objects.get() == sale
    assert movement.created_at >= asked + timedelta(seconds=HELD / 2)
    assert {payment.created_at, sale.created_at} == {stored.created_at}
    assert stored.sale.created_at == stored.created_at


def test_a_payment_is_due_a_fixed_time_after_its_reservation(
    buyer: User, lamp: Product, settings: Settings
) -> None:
    with locked(lamp):
        _sale, payment = reserve(order_for(buyer, lamp), "key")
    stored = Payment.objects.get()
    assert stored.due_at == payment.due_at
    assert stored.due_at - stored.created_at == timedelta(seconds=settings.PAYMENT_RESEND_AFTER)
