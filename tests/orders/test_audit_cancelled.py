"""The audit of the stock knows what paid orders gave back, and what was sold again."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from orders.fulfilment import sale_cancel, sale_dispatch
from orders.models import Sale
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import HeldStock, Product, StockMovement
from products.services import stock_put_back, stock_put_held, stock_write_off
from retail.audit.declare import OVERSOLD
from tests.audits import open_violations, oversold_units
from tests.orders.state import stock_of
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db

MOVED = "movements_match_order"
Reason = StockMovement.Reason


@pytest.fixture
def buyer() -> User:
    return make_buyer()


@pytest.fixture
def lamp() -> Product:
    return make_product("Lamp", "10.00", 5)


def sell(buyer: User, product: Product, units: int) -> Sale:
    sale, payment = reserve(order_for(buyer, product, units), uuid.uuid4().hex)
    assert payment_settle(payment=payment, answer=Answer.APPROVED)
    return Sale.objects.get(pk=sale.pk)


def flash_sale(begins: int, ends: int) -> None:
    """Give all products a flash sale from and to so many hours from now."""
    now = timezone.now()
    Product.objects.update(
        flash_price="7.00",
        flash_starts_at=now + timedelta(hours=begins),
        flash_ends_at=now + timedelta(hours=ends),
    )


def found() -> dict[str, dict[str, str]]:
    """Return all violations of the stock's invariants, full scans included."""
    names = (MOVED, OVERSOLD, "movement_has_order", "ledger_equals_stock")
    details = {name: open_violations(name, full=True) for name in names}
    assert details == {name: open_violations(name) for name in names}
    assert oversold_units() == sum(
        int(detail.split()[0]) - int(detail.split()[2]) for detail in details[OVERSOLD].values()
    )
    return {name: subjects for name, subjects in details.items() if subjects}


def test_cancelled_units_are_sold_again(buyer: User, lamp: Product) -> None:
    first = sell(buyer, lamp, 3)
    sell(buyer, lamp, 2)
    assert sale_cancel(sale=first)
    assert found() == {}
    again = sell(buyer, lamp, 3)
    assert (stock_of(lamp), found()) == (0, {})
    assert sale_cancel(sale=again)
    sell(buyer, lamp, 1)
    assert (stock_of(lamp), found()) == (2, {})


def test_one_unit_more_than_was_put_back_is_oversold(buyer: User, lamp: Product) -> None:
    sale = sell(buyer, lamp, 5)
    assert sale_cancel(sale=sale)
    sell(buyer, lamp, 5)
    assert found() == {}
    StockMovement.objects.filter(reason="seed").update(quantity=4)
    assert open_violations(OVERSOLD, full=True) == {str(lamp.pk): "10 sold, 9 ever offered"}
    assert oversold_units() == 1


def test_returned_units_are_sold_again_but_those_written_off_are_not(
    buyer: User, lamp: Product
) -> None:
    sale = sell(buyer, lamp, 5)
    assert sale_dispatch(reference=sale.reference, user_id=1)
    stock_put_back(quantities={lamp.pk: 2}, reason=Reason.RETURN, reference="RT-1")
    stock_write_off(quantities={lamp.pk: 1}, reference="RT-1")
    assert (stock_of(lamp), found()) == (2, {})
    sell(buyer, lamp, 2)
    assert (stock_of(lamp), found()) == (0, {})
    StockMovement.objects.filter(reason="seed").update(quantity=4)
    assert open_violations(OVERSOLD, full=True) == {str(lamp.pk): "7 sold, 6 ever offered"}
    assert oversold_units() == 1


def test_units_held_for_the_time_of_a_flash_sale_are_accounted_for(
    buyer: User, lamp: Product
) -> None:
    sale = sell(buyer, lamp, 3)
    flash_sale(-1, 1)
    assert sale_cancel(sale=sale)
    assert (stock_of(lamp), found()) == (2, {})
    flash_sale(-2, -1)
    assert stock_put_held() == 3
    assert (stock_of(lamp), found()) == (5, {})


def test_a_cancelled_order_that_kept_its_units_is_found(buyer: User, lamp: Product) -> None:
    sale = sell(buyer, lamp, 3)
    Sale.objects.update(cancelled_at=timezone.now())
    detail = f"product {lamp.pk}: 3 ordered, 3 taken, 0 released, 0 put back"
    assert found() == {MOVED: {sale.reference: f"CONFIRMED, cancelled later, {detail}"}}


def test_held_units_that_were_lost_or_counted_twice_are_found(buyer: User, lamp: Product) -> None:
    flash_sale(-1, 1)
    sale = sell(buyer, lamp, 3)
    assert sale_cancel(sale=sale)
    held = HeldStock.objects.all()
    detail = f"CONFIRMED, cancelled later, product {lamp.pk}: 3 ordered, 3 taken, 0 released, "
    held.update(quantity=2)
    assert found() == {MOVED: {sale.reference: f"{detail}2 put back"}}
    held.update(quantity=3)
    assert found() == {}
    StockMovement.objects.create(
        product=lamp, quantity=3, reason=Reason.CANCEL, reference=sale.reference
    )
    assert open_violations(MOVED) == {sale.reference: f"{detail}6 put back"}
    held.delete()
    assert open_violations(MOVED) == {}


@pytest.mark.parametrize("reason", [Reason.CANCEL, Reason.RETURN, Reason.RELEASE])
@pytest.mark.parametrize("dispatched", [True, False])
def test_an_order_that_was_not_cancelled_gives_nothing_back(
    buyer: User, lamp: Product, reason: StockMovement.Reason, dispatched: bool
) -> None:
    """What customers return moves with the reference of the return."""
    sale = sell(buyer, lamp, 3)
    if dispatched:
        assert sale_dispatch(reference=sale.reference, user_id=1)
    StockMovement.objects.create(product=lamp, quantity=3, reason=reason, reference=sale.reference)
    Product.objects.update(stock=5)
    back = "3 released, 0 put back" if reason == Reason.RELEASE else "0 released, 3 put back"
    detail = f"CONFIRMED, product {lamp.pk}: 3 ordered, 3 taken, {back}"
    assert found() == {MOVED: {sale.reference: detail}}


def test_a_cancelled_order_that_released_its_units_instead_is_found(
    buyer: User, lamp: Product
) -> None:
    sale = sell(buyer, lamp, 3)
    assert sale_cancel(sale=sale)
    StockMovement.objects.filter(reason=Reason.CANCEL).update(reason=Reason.RELEASE)
    detail = f"product {lamp.pk}: 3 ordered, 3 taken, 3 released, 0 put back"
    assert open_violations(MOVED) == {sale.reference: f"CONFIRMED, cancelled later, {detail}"}
