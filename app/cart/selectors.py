"""Read carts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from django.conf import settings
from django.db.models import Sum

from cart.models import MAX_QUANTITY, CartItem
from retail.money import amount_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import QuerySet

    from products.models import Product

Held = Literal["all", "some", "none"]


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
    def left(self) -> int:
        """Units of this line that can be bought, at most MAX_QUANTITY."""
        return max(0, min(self.product.stock, MAX_QUANTITY)) if self.product.is_active else 0

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


def holds(*, user_id: int, quantities: Mapping[int, int]) -> Held:
    """Return whether all, some or none of these quantities by product id are in the cart."""
    items = CartItem.objects.filter(cart__user_id=user_id, product_id__in=quantities)
    in_cart = dict(items.values_list("product_id", "quantity"))
    if all(in_cart.get(key, 0) >= quantity for key, quantity in quantities.items()):
        return "all"
    return "some" if in_cart else "none"


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
