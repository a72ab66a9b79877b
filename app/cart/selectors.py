"""What the shop reads of carts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db.models import Sum

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from cart.models import CartItem
    from products.models import Product


@dataclass(frozen=True)
class CartLine:
    """A line of a cart at today's price."""

    product: Product
    quantity: int
    unit_price: Decimal

    @property
    def line_total(self) -> Decimal:
        """What the line costs."""
        return self.unit_price * self.quantity

    @property
    def problem(self) -> str:
        """Why the line cannot be bought as it is, or ""."""
        if not self.product.is_active:
            return "no longer on sale"
        if self.product.stock <= 0:
            return "sold out"
        if self.product.stock < self.quantity:
            return f"only {self.product.stock} left"
        return ""


def pieces(items: QuerySet[CartItem]) -> int:
    """Return how many pieces the items are."""
    return items.aggregate(pieces=Sum("quantity"))["pieces"] or 0


def cart_lines(items: QuerySet[CartItem]) -> list[CartLine]:
    """Return the lines of the items, in the order of the products' ids."""
    rows = items.select_related("product__category").order_by("product_id")
    return [CartLine(one.product, one.quantity, one.product.current_price) for one in rows]


def fingerprint(lines: list[CartLine]) -> str:
    """Return what stands for these products, quantities and prices, and no others."""
    said = ";".join(f"{line.product.pk}:{line.quantity}:{line.unit_price}" for line in lines)
    return hashlib.sha256(said.encode()).hexdigest()


def lines_total(lines: list[CartLine]) -> Decimal:
    """Return what all lines cost."""
    return sum((line.line_total for line in lines), Decimal(0))
