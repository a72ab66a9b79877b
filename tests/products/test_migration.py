"""Rows of older versions fit the present one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from products.models import Product, StockMovement
from tests.support import make_product, migrate

CONSTRAINT = "0005_prices_above_zero"
BEFORE_REASONS = "0007_indexes_of_active_products"


@pytest.mark.usefixtures("migrated_afterwards")
def test_free_products_are_hidden_and_free_flash_sales_ended() -> None:
    now = timezone.now()
    sale: dict[str, Any] = {"flash_starts_at": now, "flash_ends_at": now + timedelta(days=1)}
    ids = [make_product(name, **sale, flash_price=5).pk for name in ("Gift", "Free", "Paid")]
    migrate(("products", "0003_reason_labels"))
    gift, free, paid = ids
    Product.objects.filter(pk=gift).update(price=0, flash_price=0)
    Product.objects.filter(pk=free).update(flash_price=0)
    migrate(("products", CONSTRAINT))
    rows = Product.objects.order_by("pk").values_list("pk", "is_active", "price", "flash_price")
    assert list(rows) == [
        (gift, False, Decimal(0), None),
        (free, True, Decimal(10), None),
        (paid, True, Decimal(10), Decimal(5)),
    ]
    assert Product.objects.filter(flash_ends_at=None).count() == 2


def test_what_orders_gave_back_that_were_not_paid_becomes_a_release(
    migrated_afterwards: None,
) -> None:
    lamp = make_product("Lamp", stock=10)
    migrate(("returns", None), ("orders", "0007_sale_email"), ("products", BEFORE_REASONS))
    with connection.cursor() as cursor:
        for quantity, reason, reference in ((-2, "sale", "VT-1"), (2, "return", "VT-1")):
            cursor.execute(
                "INSERT INTO products_stockmovement (product_id, quantity, reason, reference,"
                " created_at) VALUES (%s, %s, %s, %s, %s)",
                [lamp.pk, quantity, reason, reference, timezone.now()],
            )
    migrate(("products", "0009_releases"))
    rows = StockMovement.objects.order_by("pk").values_list("quantity", "reason", "reference")
    assert list(rows) == [(10, "seed", "test"), (-2, "sale", "VT-1"), (2, "release", "VT-1")]
    migrate(("products", BEFORE_REASONS))
    with connection.cursor() as cursor:
        cursor.execute("SELECT reason FROM products_stockmovement WHERE quantity = 2")
        assert cursor.fetchall() == [("return",)]
