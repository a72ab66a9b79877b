"""What precedes a charge is on disk before the gateway is called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from django.db import connection

from orders.models import Payment
from orders.recovery import settle_due
from orders.services import sale_checkout
from payments import gateway
from payments.gateway import Answer, Charge, NoAnswerError
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
FULL = 2  # SQLite syncs the write-ahead log at each commit


def durability() -> str:
    """Return what this thread's connection does at a commit."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous")
            return "waits for the disk" if cursor.fetchone()[0] >= FULL else "goes on"
        cursor.execute("SHOW synchronous_commit")
        return "waits for the disk" if cursor.fetchone()[0] == "on" else "goes on"


@pytest.fixture
def seen(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, scripted_gateway: ScriptedGateway
) -> list[str]:
    """Record how each call to the gateway finds the connection that has committed before."""
    settings.GATEWAY_ATTEMPTS, settings.BREAKER_FAIL_MAX = 1, 100
    seen: list[str] = []
    charge, cancel = scripted_gateway.charge, scripted_gateway.cancel

    def look(request: Charge) -> Answer:
        assert not connection.in_atomic_block
        seen.append(durability())
        return charge(request)

    def look_again(key: str) -> Answer:
        seen.append(durability())
        return cancel(key)

    monkeypatch.setattr(gateway, "charge", look)
    monkeypatch.setattr(gateway, "cancel", look_again)
    return seen


def test_a_checkouts_reservation_is_on_disk_before_the_charge(seen: list[str]) -> None:
    sale_checkout(order=order_for(make_buyer(), make_product()))
    assert seen == ["waits for the disk"]


@pytest.mark.parametrize("payments", [1, 3], ids=["in its own thread", "in several threads"])
def test_so_is_what_the_worker_does_before_it_charges_and_cancels(
    payments: int, seen: list[str], scripted_gateway: ScriptedGateway
) -> None:
    scripted_gateway.answers = [NoAnswerError()]
    product = make_product()
    for number in range(payments):
        sale_checkout(order=order_for(make_buyer(f"buyer{number}"), product))
    del seen[:]
    Payment.objects.update(due_at=LONG_AGO)
    assert settle_due() == payments
    Payment.objects.update(due_at=LONG_AGO, sent_at=LONG_AGO)  # now cancelled
    assert settle_due() == payments
    assert len(scripted_gateway.cancelled) == payments
    assert seen == ["waits for the disk"] * 2 * payments
