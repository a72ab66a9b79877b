"""A reservation takes everything, or nothing if anything is missing."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from orders import reservation, services
from orders.models import Payment, Sale, SaleItem, new_payment_key, new_reference
from payments import breaker
from payments.models import CircuitBreaker
from products.models import Product, StockMovement
from products.services import SoldOutError, stock_release
from tests.orders.state import assert_nothing_reserved, cart_of, rows, set_last_read_stock, stock_of
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


@pytest.fixture(params=["current read", "stale read"])
def with_last_read(request: pytest.FixtureRequest) -> Callable[[CheckoutRequest], CheckoutRequest]:
    """Return a function that leaves an order's last read stock as it is, or makes it outdated."""

    def stale(order: CheckoutRequest) -> CheckoutRequest:
        set_last_read_stock(order, 100)
        return order

    return stale if request.param == "stale read" else lambda order: order


def test_references_are_random_and_hard_to_confuse() -> None:
    references = {new_reference() for _ in range(100)}
    assert len(references) == 100
    for reference in references:
        assert re.fullmatch("VT-[2-9A-HJ-NP-Z]{10}", reference)  # no 0, 1, I or O


def test_sold_out_changes_nothing_and_is_not_a_conflict(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    with_last_read: Callable[[CheckoutRequest], CheckoutRequest],
) -> None:
    order = with_last_read(order_for(buyer, lamp, 6))
    with moved() as changes, pytest.raises(SoldOutError):
        services.sale_checkout(order=order)
    assert changes == {
        'retail_orders_total{outcome="sold_out"}': 1,
        "retail_sold_out_total": 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="sold_out"}': 1,
    }
    assert_nothing_reserved(lamp, buyer, 6)
    assert scripted_gateway.charged == []


def test_if_one_product_is_sold_out_nothing_of_the_others_is_reserved(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    with_last_read: Callable[[CheckoutRequest], CheckoutRequest],
) -> None:
    rare = make_product("Rare", "1.00", 1)
    order_for(buyer, lamp, 2)
    order = with_last_read(order_for(buyer, rare, 2))
    with pytest.raises(SoldOutError) as refused:
        services.sale_checkout(order=order)
    assert refused.value.product_id == rare.pk
    assert (stock_of(lamp), stock_of(rare)) == (5, 1)
    assert ledger(lamp) == ledger(rare) == []
    assert cart_of(buyer) == {lamp.pk: 2, rare.pk: 2}


def test_a_resubmitted_form_returns_its_order_even_if_the_cart_is_sold_out_by_now(
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


def test_a_probe_is_released_if_the_reservation_is_refused(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=1))
    order = order_for(buyer, lamp, 6)
    set_last_read_stock(order, 6)
    with pytest.raises(SoldOutError):
        services.sale_checkout(order=order)
    assert breaker.acquire("next").probe


def test_without_its_guard_a_reservation_hits_the_constraint_and_counts_as_a_conflict(
    buyer: User,
    lamp: Product,
    scripted_gateway: ScriptedGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_the_guard(monkeypatch)
    order = order_for(buyer, lamp, 6)
    order.lines[0].product.stock = 6  # an outdated read
    with moved() as changes, pytest.raises(services.StockConflictError):
        services.sale_checkout(order=order)
    assert changes == {
        'retail_orders_total{outcome="conflict"}': 1,
        "retail_stock_conflicts_total": 1,
        'retail_checkout_duration_seconds_count{kind="cart",outcome="conflict"}': 1,
    }
    assert_nothing_reserved(lamp, buyer, 6)
    assert ("stock_conflicts", 1) in rows()


def test_a_failed_reservation_leaves_nothing_behind(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    sale = services.sale_checkout(order=order_for(buyer, lamp, 1))
    other = make_buyer("other")
    order = order_for(other, lamp, 2)
    used_key = sale.payments.get().key
    with pytest.raises(IntegrityError):  # the payment is written last
        reservation.reserve(order, used_key)
    assert Sale.objects.get() == sale
    assert SaleItem.objects.count() == 1
    assert ledger(lamp) == [(-1, "sale", sale.reference)]
    assert stock_of(lamp) == 4
    assert cart_of(other) == {lamp.pk: 2}


def test_both_ways_to_reserve_write_the_same(
    buyer: User, lamp: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        return  # SQLite has only one way to reserve
    book = make_product("Book", "7.50", 4)
    written = []
    for reserve in (reservation._reserve_in_one_statement, reservation._reserve_with_orm):
        monkeypatch.setattr(reservation, "_reserve_in_one_statement", reserve)
        order_for(buyer, lamp, 2)
        sale, payment = reservation.reserve(order_for(buyer, book, 1), new_payment_key())
        assert (sale, payment) == (Sale.objects.get(), Payment.objects.get())
        assert Payment.objects.get().sent_at == payment.sent_at is not None
        written.append(_rows_without_identifiers(sale))
        assert (stock_of(lamp), stock_of(book)) == (3, 3)
        assert cart_of(buyer) == {}
        stock_release(quantities={lamp.pk: 2, book.pk: 1}, reference="again")
        sale.payments.all().delete()
        sale.delete()
    assert written[0] == written[1]


def _rows_without_identifiers(sale: Sale) -> list[dict[str, object]]:
    """Return the rows of a reservation without ids, keys and times."""
    unique = {"id", "sale_id", "reference", "key", "idempotency_key"}
    unique |= {"created_at", "sent_at", "due_at"}
    rows = [
        *Sale.objects.filter(pk=sale.pk).values(),
        *sale.items.order_by("product_id").values(),
        *sale.payments.values(),
        *StockMovement.objects.filter(reference=sale.reference).order_by("product_id").values(),
    ]
    return [{name: value for name, value in row.items() if name not in unique} for row in rows]
