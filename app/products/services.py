"""What changes the stock: always the product's row and its ledger together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from products.models import Product, StockMovement

if TYPE_CHECKING:
    from collections.abc import Mapping

Reason = StockMovement.Reason
# What staff may fill a product up to: far below what a column holds, so that returns always fit.
MAX_STOCK = 1_000_000_000


class SoldOutError(Exception):
    """Less is left of a product than was asked for; nothing was taken."""

    def __init__(self, product_id: int) -> None:
        super().__init__(f"product {product_id} is sold out")
        self.product_id = product_id


@transaction.atomic
def stock_take(*, quantities: Mapping[int, int], reference: str) -> None:
    """Take stock for a sale: `quantities` by product id, all or nothing.

    Products are taken in the order of their ids, so that two sales never wait for each other in a
    circle. Raises SoldOutError for the first product of which too little is left.
    """
    for product_id, quantity in sorted(quantities.items()):
        # The condition is checked by the database while it holds the row.
        taken = Product.objects.filter(pk=product_id, is_active=True, stock__gte=quantity).update(
            stock=F("stock") - quantity
        )
        if not taken:
            raise SoldOutError(product_id)
    StockMovement.objects.bulk_create(
        [
            StockMovement(
                product_id=product_id, quantity=-quantity, reason=Reason.SALE, reference=reference
            )
            for product_id, quantity in quantities.items()
        ]
    )


@transaction.atomic
def stock_return(*, quantities: Mapping[int, int], reference: str) -> None:
    """Put back what a sale had taken: `quantities` by product id."""
    for product_id, quantity in sorted(quantities.items()):
        Product.objects.filter(pk=product_id).update(stock=F("stock") + quantity)
    StockMovement.objects.bulk_create(
        [
            StockMovement(
                product_id=product_id, quantity=quantity, reason=Reason.RETURN, reference=reference
            )
            for product_id, quantity in quantities.items()
        ]
    )


@transaction.atomic
def stock_set(*, product_id: int, stock: int, reason: StockMovement.Reason, reference: str) -> int:
    """Bring a product's stock to `stock` and return by how much it changed.

    Raises ValueError for a negative stock.
    """
    if stock < 0:
        raise ValueError("Stock cannot be negative.")
    product = Product.objects.select_for_update().get(pk=product_id)
    change = stock - product.stock
    if change:
        Product.objects.filter(pk=product_id).update(stock=stock)
        StockMovement.objects.create(
            product_id=product_id, quantity=change, reason=reason, reference=reference
        )
    return change


@transaction.atomic
def stock_change(
    *, product_id: int, difference: int, reason: StockMovement.Reason, reference: str
) -> int:
    """Add `difference` to a product's stock, or take it if it is negative; return the new stock.

    Raises ValueError if that would be below zero or above MAX_STOCK.
    """
    stock = Product.objects.select_for_update().get(pk=product_id).stock + difference
    if not 0 <= stock <= MAX_STOCK:
        raise ValueError(f"Stock must be from 0 to {MAX_STOCK}.")
    if difference:
        Product.objects.filter(pk=product_id).update(stock=stock)
        StockMovement.objects.create(
            product_id=product_id, quantity=difference, reason=reason, reference=reference
        )
    return stock
