"""Every change of stock is recorded in the ledger, atomically, and never goes below zero."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from products.models import Product, StockMovement
from products.services import SoldOutError, stock_adjust, stock_release, stock_reserve, stock_set
from tests.support import ledger, make_product, unbalanced_products

pytestmark = pytest.mark.django_db

Reason = StockMovement.Reason


def stock(product: Product) -> int:
    product.refresh_from_db()
    return product.stock


def test_reserving_stock_records_a_movement_for_each_product() -> None:
    lamp, book, desk = (make_product(name, stock=10) for name in ("Lamp", "Book", "Desk"))
    stock_reserve(quantities={lamp.pk: 3, book.pk: 10}, reference="VT-1")
    assert (stock(lamp), stock(book), stock(desk)) == (7, 0, 10)
    assert ledger(lamp) == [(-3, "sale", "VT-1")]
    assert ledger(book) == [(-10, "sale", "VT-1")]
    assert ledger(desk) == []


@pytest.mark.parametrize("quantity", [4, 100])
def test_a_sale_with_too_much_of_one_product_takes_nothing_of_any(quantity: int) -> None:
    lamp, book = make_product("Lamp", stock=10), make_product("Book", stock=3)
    with pytest.raises(SoldOutError) as refused:
        stock_reserve(quantities={lamp.pk: 1, book.pk: quantity}, reference="VT-1")
    assert refused.value.product_id == book.pk
    assert str(refused.value) == f"product {book.pk} is sold out"
    assert (stock(lamp), stock(book)) == (10, 3)
    assert ledger(lamp) == ledger(book) == []


def test_a_hidden_or_unknown_product_is_sold_out() -> None:
    hidden = make_product(is_active=False)
    for product_id in (hidden.pk, hidden.pk + 1000):
        with pytest.raises(SoldOutError):
            stock_reserve(quantities={product_id: 1}, reference="VT-1")
    assert stock(hidden) == 10


def test_products_are_reserved_in_order_of_their_ids() -> None:
    first, second = make_product(stock=0), make_product(stock=0)
    with pytest.raises(SoldOutError) as refused:
        stock_reserve(quantities={second.pk: 1, first.pk: 1}, reference="VT-1")
    assert refused.value.product_id == first.pk


@pytest.mark.parametrize("quantity", [0, -1])
def test_the_database_refuses_a_sale_of_less_than_one(quantity: int) -> None:
    lamp = make_product(stock=10)
    with pytest.raises(IntegrityError), transaction.atomic():
        stock_reserve(quantities={lamp.pk: quantity}, reference="VT-1")
    assert (stock(lamp), ledger(lamp)) == (10, [])


def test_releasing_stock_records_a_movement_for_each_product() -> None:
    lamp, book = make_product("Lamp", stock=10), make_product("Book", stock=5, is_active=False)
    stock_release(quantities={lamp.pk: 2, book.pk: 1}, reference="VT-1")
    assert (stock(lamp), stock(book)) == (12, 6)
    assert ledger(lamp) == [(2, "release", "VT-1")]
    assert ledger(book) == [(1, "release", "VT-1")]


@pytest.mark.parametrize("quantity", [0, -1])
def test_the_database_refuses_a_release_of_less_than_one(quantity: int) -> None:
    lamp = make_product(stock=10)
    with pytest.raises(IntegrityError), transaction.atomic():
        stock_release(quantities={lamp.pk: quantity}, reference="VT-1")
    assert (stock(lamp), ledger(lamp)) == (10, [])


@pytest.mark.parametrize(
    ("target", "movements"),
    [(14, [(4, "admin", "count")]), (0, [(-10, "admin", "count")]), (10, [])],
)
def test_setting_stock_records_the_difference(
    target: int, movements: list[tuple[int, str, str]]
) -> None:
    lamp, desk = make_product(stock=10), make_product("Desk", stock=10)
    changed = stock_set(product_id=lamp.pk, stock=target, reason=Reason.ADMIN, reference="count")
    assert changed == target - 10
    assert (stock(lamp), ledger(lamp)) == (target, movements)
    assert (stock(desk), ledger(desk)) == (10, [])


def test_stock_is_not_set_below_zero() -> None:
    lamp = make_product(stock=10)
    with pytest.raises(ValueError, match="cannot be negative"):
        stock_set(product_id=lamp.pk, stock=-1, reason=Reason.ADMIN, reference="")
    assert (stock(lamp), ledger(lamp)) == (10, [])


@pytest.mark.parametrize(
    "change",
    [
        lambda lamp: stock_reserve(quantities={lamp.pk: 3}, reference="VT-1"),
        lambda lamp: stock_release(quantities={lamp.pk: 3}, reference="VT-1"),
        lambda lamp: stock_set(product_id=lamp.pk, stock=3, reason=Reason.ADMIN, reference=""),
        lambda lamp: stock_adjust(
            product_id=lamp.pk, difference=3, reason=Reason.ADMIN, reference=""
        ),
    ],
    ids=["reserve", "release", "set", "adjust"],
)
def test_stock_without_its_movement_does_not_change(
    change: Callable[[Product], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = make_product(stock=10)
    for name in ("create", "bulk_create"):
        full = Mock(side_effect=OperationalError("disk full"))
        monkeypatch.setattr(StockMovement.objects, name, full)
    with pytest.raises(OperationalError, match="disk full"):
        change(lamp)
    assert (stock(lamp), ledger(lamp)) == (10, [])


def test_products_are_released_in_order_of_their_ids() -> None:
    """So that releases and sales of the same products cannot deadlock."""
    first, second = make_product(stock=5), make_product(stock=5)
    with CaptureQueriesContext(connection) as captured:
        stock_release(quantities={second.pk: 1, first.pk: 2}, reference="VT-1")
    updates = [query["sql"] for query in captured if query["sql"].startswith("UPDATE")]
    assert [int(sql.rpartition(" = ")[2]) for sql in updates] == [first.pk, second.pk]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "release", "set"]), st.integers(min_value=-3, max_value=12)
    ),
    max_size=12,
)


@given(start=st.integers(0, 15), operations=OPERATIONS)
def test_the_ledger_always_equals_the_stock_and_nothing_is_oversold(
    start: int, operations: list[tuple[str, int]]
) -> None:
    product = make_product(stock=start)
    expected = start
    for operation, quantity in operations:
        quantities = {product.pk: quantity}
        try:
            with transaction.atomic():
                if operation == "reserve":
                    stock_reserve(quantities=quantities, reference="r")
                    expected -= quantity
                elif operation == "release":
                    stock_release(quantities=quantities, reference="r")
                    expected += quantity
                else:
                    stock_set(
                        product_id=product.pk, stock=quantity, reason=Reason.FEED, reference="r"
                    )
                    expected = quantity
        except SoldOutError:
            assert operation == "reserve"
            assert quantity > expected
        except (IntegrityError, ValueError):
            assert quantity < 1
        in_ledger = sum(product.movements.values_list("quantity", flat=True))
        assert stock(product) == in_ledger == expected >= 0
    assert unbalanced_products() == []
