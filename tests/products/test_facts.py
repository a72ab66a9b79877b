"""Constraints on products, and when a flash sale is active."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from products.models import Product, StockMovement
from products.selectors import flash_products
from tests.support import make_product

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 27, 18, tzinfo=UTC)
END = START + timedelta(hours=2)
MOMENT = timedelta(microseconds=1)
SALE: dict[str, Any] = {
    "flash_price": Decimal("7.50"),
    "flash_starts_at": START,
    "flash_ends_at": END,
}


@pytest.mark.parametrize(
    ("now", "active"),
    [
        (START - MOMENT, False),
        (START, True),
        (END - MOMENT, True),
        (END, False),
    ],
)
def test_a_flash_sale_is_active_from_its_start_to_before_its_end(
    monkeypatch: pytest.MonkeyPatch, now: datetime, active: bool
) -> None:
    product = make_product(price="10.00", **SALE)
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert product.flash_active is active
    assert product.current_price == Decimal("7.50" if active else "10.00")
    assert list(flash_products()) == ([product] if active else [])


def test_a_product_without_a_flash_sale_costs_its_price() -> None:
    product = make_product(price="10.00")
    assert not product.flash_active
    assert product.current_price == Decimal("10.00")


def test_flash_sales_are_sorted_by_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: START)
    late = make_product("A", **{**SALE, "flash_ends_at": END + MOMENT})
    soon_b = make_product("C", **SALE)
    soon_a = make_product("B", **SALE)
    make_product("Hidden", is_active=False, **SALE)
    assert list(flash_products()) == [soon_a, soon_b, late]


REFUSED = [
    ("product_stock_not_negative", {"stock": -1}),
    ("product_price_not_negative", {"price": Decimal("-0.01"), "is_active": False}),
    ("product_flash_price_between_zero_and_price", {**SALE, "flash_price": Decimal("10.01")}),
    ("product_flash_price_between_zero_and_price", {**SALE, "flash_price": Decimal("-0.01")}),
    ("product_flash_price_between_zero_and_price", {**SALE, "flash_price": Decimal(0)}),
    ("product_on_sale_has_a_price", {"price": Decimal(0)}),
    ("product_flash_sale_whole_or_none", {**SALE, "flash_price": None}),
    ("product_flash_sale_whole_or_none", {**SALE, "flash_starts_at": None}),
    ("product_flash_sale_whole_or_none", {**SALE, "flash_ends_at": None}),
    ("product_flash_sale_whole_or_none", {**SALE, "flash_ends_at": START}),
    ("product_flash_sale_whole_or_none", {"flash_price": Decimal(5)}),
    ("product_flash_sale_whole_or_none", {"flash_starts_at": START, "flash_ends_at": END}),
]


@pytest.mark.parametrize(("constraint", "fields"), REFUSED)
def test_the_database_refuses_invalid_products(constraint: str, fields: dict[str, Any]) -> None:
    product = make_product(price="10.00")
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Product.objects.filter(pk=product.pk).update(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"stock": 0},
        {"price": Decimal(0), "is_active": False},
        SALE,
        {**SALE, "flash_price": Decimal("10.00")},
        {**SALE, "flash_price": Decimal("0.01")},
        {**SALE, "flash_ends_at": START + MOMENT},
    ],
)
def test_the_database_accepts_valid_products(fields: dict[str, Any]) -> None:
    product = make_product(price="10.00")
    assert Product.objects.filter(pk=product.pk).update(**fields) == 1


def test_an_incomplete_flash_sale_is_refused_with_the_reason() -> None:
    product = make_product(price="10.00")
    product.flash_price = Decimal(5)
    with pytest.raises(ValidationError, match="needs its price, a start, and an end after"):
        product.full_clean()


@pytest.mark.parametrize(
    ("constraint", "quantity", "reason"),
    [
        ("movement_moves_something", 0, "admin"),
        ("movement_sale_or_loss_goes_out", 1, "sale"),
        ("movement_sale_or_loss_goes_out", 1, "loss"),
        ("movement_back_comes_in", -1, "release"),
        ("movement_back_comes_in", -1, "cancel"),
        ("movement_back_comes_in", -1, "return"),
    ],
)
def test_the_database_refuses_invalid_movements(
    constraint: str, quantity: int, reason: str
) -> None:
    product = make_product()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        StockMovement.objects.create(product=product, quantity=quantity, reason=reason)


@pytest.mark.parametrize(
    ("stock", "sold_out", "low"), [(0, True, False), (1, False, True), (5, False, True)]
)
def test_low_stock_and_sold_out_depend_on_the_stock(stock: int, sold_out: bool, low: bool) -> None:
    product = make_product(stock=stock)
    assert (product.sold_out, product.low_stock) == (sold_out, low)
    assert not make_product(stock=6).low_stock


def test_products_categories_and_movements_have_readable_names() -> None:
    product = make_product("Lamp")
    movement = StockMovement(product=product, quantity=-2, reason="sale", reference="VT-1")
    assert (str(product), str(product.category), str(movement)) == ("Lamp", "Shelf", "-2 sale VT-1")
    assert str(StockMovement(quantity=3, reason="admin")) == "+3 admin"
