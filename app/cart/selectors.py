"""Read carts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Sum

from retail.money import amount_problem

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from cart.models import CartItem
    from products.models import Product


@dataclass(frozen=True)
class CartLine:
    """A line of a cart at the current price."""

    product: Product
    quantity: int
    unit_price: Decimal

    @property
    def line_total(self) -> Decimal:
        """Price of the whole line."""
        return self.unit_price * self.quantity

    @property
    def problem(self) -> str:
        """Reason why the line cannot be bought, or ""."""
        if not self.product.is_active:
            return "no longer on sale"
        if self.product.stock <= 0:
            return "sold out"
        if self.product.stock < self.quantity:
            return f"only {self.product.stock} left"
        return ""


def unit_count(items: QuerySet[CartItem]) -> int:
    """Return the total quantity of the items."""
    return items.aggregate(units=Sum("quantity"))["units"] or 0


def cart_lines(items: QuerySet[CartItem]) -> list[CartLine]:
    """Return the items as lines, by product id."""
    rows = items.select_related("product__category").order_by("product_id")
    return [CartLine(item.product, item.quantity, item.product.current_price) for item in rows]


def fingerprint(lines: list[CartLine]) -> str:
    """Return a hash of the lines' products, quantities and prices."""
    content = ";".join(
        f"{line.product.pk}:{line.quantity}:{line.unit_price} {line.product.currency}"
        for line in lines
    )
    return hashlib.sha256(content.encode()).hexdigest()


def lines_total(lines: list[CartLine]) -> Decimal:
    """Return the total price of the lines."""
    return sum((line.line_total for line in lines), Decimal(0))


def lines_currency(lines: list[CartLine]) -> str:
    """Return the currency of the lines' products; of several, which cannot be ordered, the first.

    It is not the setting, which may have changed since the prices were entered.
    """
    return lines[0].product.currency if lines else settings.CURRENCY


def order_problem(lines: list[CartLine]) -> str:
    """Return the reason why the lines cannot be one order, or ""."""
    currencies = sorted({line.product.currency for line in lines})
    if len(currencies) > 1:
        return (
            f"Prices are in different currencies ({', '.join(currencies)}), which can't be paid "
            "together. Order them separately."
        )
    return amount_problem(lines_total(lines), lines_currency(lines)) if lines else ""
