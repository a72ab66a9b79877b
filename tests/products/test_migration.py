"""Products that were free before 0.00 was refused are taken off sale."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from products.models import Product
from tests.support import make_product, migrate

CONSTRAINT = "0005_prices_above_zero"


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
