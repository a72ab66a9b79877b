"""What a reservation takes, and that it takes nothing at all where something is missing."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from orders import reservation, services
from orders.models import Payment, Sale, SaleItem, new_payment_key
from payments import breaker
from payments.models import CircuitBreaker
from products.models import Product, StockMovement
from products.services import SoldOutError, stock_return
from tests.orders.state import cart_of, nothing_reserved, rows, seen_in_stock, stock_of
from tests.support import (
    ScriptedGateway,
    ledger,
    make_buyer,
    make_product,
    moved,
    order_for,
    order_of,
    without_the_guard,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

    from orders.order import CheckoutRequest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["seen by the buyer", "found by the reservation"])
def look(request: pytest.FixtureRequest) -> Callable[[CheckoutRequest], CheckoutRequest]:
    """Return how an order is made: with the stock as it is, or as it was a moment ago."""

    def stale(order: CheckoutRequest) -> CheckoutRequest:
        seen_in_stock(order, 100)
        return order

    return stale if request.param == "found by the reservation" else lambda order: order


def test_sold_out_changes_nothing_and_is_no_conflict(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    look: Callable[[CheckoutRequest], CheckoutRequest],
) -> None:
    order = look(order_for(buyer, lamp, 6))
    with moved() as changes, pytest.raises(SoldOutError):
        services.sale_checkout(order=order)
    assert changes == {
        'retail_orders_total{outcome="sold_out"}': 1,
        "retail_sold_out_total": 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="sold_out"}': 1,
    }
    nothing_reserved(lamp, buyer, 6)
    assert scripted_gateway.charged == []


def test_one_product_sold_out_takes_nothing_of_the_others(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    look: Callable[[CheckoutRequest], CheckoutRequest],
) -> None:
    rare = make_product("Rare", "1.00", 1)
    order_for(buyer, lamp, 2)
    order = look(order_for(buyer, rare, 2))
    with pytest.raises(SoldOutError) as refused:
        services.sale_checkout(order=order)
    assert refused.value.product_id == rare.pk
    assert (stock_of(lamp), stock_of(rare)) == (5, 1)
    assert ledger(lamp) == ledger(rare) == []
    assert cart_of(buyer) == {lamp.pk: 2, rare.pk: 2}


def test_an_old_form_sent_again_is_its_order_also_if_what_is_in_the_cart_by_now_is_sold_out(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    form = uuid.uuid4()
    order_for(buyer, lamp, 5)
    sale = services.sale_checkout(order=order_of(buyer, key=form))
    order_for(buyer, lamp, 1)
    assert services.sale_checkout(order=order_of(buyer, key=form)) == sale
    assert Sale.objects.get() == sale
    assert cart_of(buyer) == {lamp.pk: 1}
    assert len(scripted_gateway.charged) == 1


def test_a_probe_that_finds_nothing_to_sell_is_given_back(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=1))
    order = order_for(buyer, lamp, 6)
    seen_in_stock(order, 6)
    with pytest.raises(SoldOutError):
        services.sale_checkout(order=order)
    assert breaker.acquire("next").probe


def test_a_reservation_without_its_guard_is_stopped_by_the_database_and_counted_as_a_conflict(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_guard(monkeypatch)
    order = order_for(buyer, lamp, 6)
    order.lines[0].product.stock = 6  # as it was when the buyer looked
    with moved() as changes, pytest.raises(services.StockConflictError):
        services.sale_checkout(order=order)
    assert changes == {
        'retail_orders_total{outcome="conflict"}': 1,
        "retail_stock_conflicts_total": 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="conflict"}': 1,
    }
    nothing_reserved(lamp, buyer, 6)
    assert ("stock_conflicts", 1) in rows()


def test_a_reservation_that_breaks_half_way_leaves_nothing_behind(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sale = services.sale_checkout(order=order_for(buyer, lamp, 1))
    other = make_buyer("other")
    order = order_for(other, lamp, 2)
    used = sale.payments.get().key
    with pytest.raises(IntegrityError):  # the payment is the last that is written
        reservation.reserve(order, used)
    assert Sale.objects.get() == sale
    assert SaleItem.objects.count() == 1
    assert ledger(lamp) == [(-1, "sale", sale.reference)]
    assert stock_of(lamp) == 4
    assert cart_of(other) == {lamp.pk: 2}


def test_both_ways_to_reserve_write_the_same(
    buyer: User, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        return  # there is only one way
    book = make_product("Book", "7.50", 4)
    written = []
    for way in (reservation._write_at_once, reservation._write_in_steps):
        monkeypatch.setattr(reservation, "_write_at_once", way)
        order_for(buyer, lamp, 2)
        sale, payment = reservation.reserve(order_for(buyer, book, 1), new_payment_key())
        assert (sale, payment) == (Sale.objects.get(), Payment.objects.get())
        written.append(_everything_but_names(sale))
        assert (stock_of(lamp), stock_of(book)) == (3, 3)
        assert cart_of(buyer) == {}
        stock_return(quantities={lamp.pk: 2, book.pk: 1}, reference="again")
        sale.payments.all().delete()
        sale.delete()
    assert written[0] == written[1]


def _everything_but_names(sale: Sale) -> list[dict[str, object]]:
    """Return all that a reservation wrote, but for ids, keys and times."""
    own = {"id", "sale_id", "reference", "key", "idempotency_key", "created_at", "due_at"}
    rows = [
        *Sale.objects.filter(pk=sale.pk).values(),
        *sale.items.order_by("product_id").values(),
        *sale.payments.values(),
        *StockMovement.objects.filter(reference=sale.reference).order_by("product_id").values(),
    ]
    return [{name: value for name, value in row.items() if name not in own} for row in rows]
