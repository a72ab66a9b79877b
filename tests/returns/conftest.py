"""Fixtures of the returns tests: paid orders, and a gateway that refunds."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from orders.services import sale_checkout
from returns import changes, refunding
from returns.models import Refund, Return
from returns.services import Inspected, return_approve, return_receive, return_request
from tests.returns.gateway import FakeGateway
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

    from orders.models import Sale
    from products.models import Product
    from tests.support import ScriptedGateway


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    gateway = FakeGateway()
    monkeypatch.setattr(refunding, "refund_send", gateway.send)
    monkeypatch.setattr(refunding, "gateway_refunds_of", gateway.refunds_of)
    monkeypatch.setattr(changes, "gateway_changes", gateway.changes_after)
    monkeypatch.setattr(changes, "PAUSE_SECONDS", 0)
    return gateway


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 5)


@pytest.fixture
def sale(scripted_gateway: ScriptedGateway, buyer: User, lamp: Product) -> Sale:
    """Return a paid order of three lamps."""
    del scripted_gateway
    return sale_checkout(order=order_for(buyer, lamp, 3))


@pytest.fixture
def sent(sale: Sale) -> Sale:
    """Return the order, dispatched."""
    sale.dispatched_at = timezone.now()
    sale.save(update_fields=["dispatched_at"])
    return sale


@pytest.fixture
def arrived(sent: Sale) -> Callable[..., Return]:
    """Return a function that has units of the order returned, approved and received."""

    def arrive(sellable: int = 1, damaged: int = 0, lost: int = 0) -> Return:
        of_return = ask(sent, sellable + damaged + lost)
        item = of_return.items.get()
        return_approve(of_return=of_return, units={item.pk: item.requested})
        units = Inspected(sellable, damaged, lost)
        return_receive(of_return=of_return, inspected={item.pk: units})
        of_return.refresh_from_db()
        return of_return

    return arrive


def ask(sale: Sale, units: int, reason: str = "changed_mind") -> Return:
    """Request the return of units of an order's only line."""
    line = sale.items.get()
    return return_request(sale=sale, units={line.pk: units}, reason=reason, form_key=uuid.uuid4())


def due() -> None:
    """Let all refunds be due."""
    Refund.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def age(refund: Refund, **by: float) -> None:
    """Let time pass for a refund."""
    sent_at = Refund.objects.get(pk=refund.pk).first_sent_at
    past = timedelta(**by)
    Refund.objects.filter(pk=refund.pk).update(
        created_at=refund.created_at - past, first_sent_at=sent_at and sent_at - past
    )


def work() -> None:
    """Let the worker settle what is due, and read the gateway's changes."""
    due()
    refunding.settle_due()
    changes.follow()
