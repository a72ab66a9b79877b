"""Adjusting stock: the difference is recorded, and the result stays in range."""

import pytest

from products.models import StockMovement
from products.services import MAX_STOCK, stock_adjust
from tests.products.support import products_and_movements
from tests.support import ledger, make_product

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason


@pytest.mark.parametrize(("difference", "after"), [(4, 14), (-10, 0), (MAX_STOCK - 10, MAX_STOCK)])
def test_adjusting_stock_records_the_difference(difference: int, after: int) -> None:
    lamp, desk = make_product(stock=10), make_product("Desk", stock=10)
    stock = stock_adjust(
        product_id=lamp.pk, difference=difference, reason=Reason.FEED, reference="file 1"
    )
    lamp.refresh_from_db()
    assert stock == lamp.stock == after
    assert ledger(lamp) == [(difference, "feed", "file 1")]
    desk.refresh_from_db()
    assert (desk.stock, ledger(desk)) == (10, [])


def test_adjusting_stock_by_zero_records_no_movement() -> None:
    lamp = make_product(stock=10)
    assert stock_adjust(product_id=lamp.pk, difference=0, reason=Reason.FEED, reference="x") == 10
    assert ledger(lamp) == []


@pytest.mark.parametrize("difference", [-11, MAX_STOCK - 9, 10**30])
def test_stock_is_not_adjusted_out_of_range(difference: int) -> None:
    lamp = make_product(stock=10)
    before = products_and_movements()
    with pytest.raises(ValueError, match="from 0 to 1000000000"):
        stock_adjust(product_id=lamp.pk, difference=difference, reason=Reason.ADMIN, reference="x")
    assert products_and_movements() == before
