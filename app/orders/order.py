"""The checkout request: what a buyer orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cart.selectors import lines_currency
from orders.models import Sale

if TYPE_CHECKING:
    from decimal import Decimal
    from uuid import UUID

    from cart.selectors import CartLine
    from payments.models import CircuitBreaker


@dataclass(frozen=True)
class CheckoutRequest:
    """A validated checkout form with its cart lines at the prices shown.

    `idempotency_key` is the form's: submitting the same form twice places one order. `form_used`
    and `breaker` were read along with the cart: whether the form has already placed an order (None
    if not read), and the circuit breaker's row.
    """

    user_id: int
    idempotency_key: UUID
    lines: list[CartLine]
    total: Decimal
    delivery_name: str
    delivery_address: str
    payment_token: str
    email: str = ""  # where e-mails about it go, unless to the account's address
    form_used: bool | None = None
    breaker: CircuitBreaker | None = None

    @property
    def currency(self) -> str:
        """Currency of the order: its products'."""
        return lines_currency(self.lines)

    @property
    def quantities(self) -> dict[int, int]:
        """Quantities by product id."""
        return {line.product.pk: line.quantity for line in self.lines}

    @cached_property
    def kind(self) -> Sale.Kind:
        """Flash if any line is on flash sale when this is first asked, else cart."""
        flash = any(line.product.flash_active for line in self.lines)
        return Sale.Kind.FLASH if flash else Sale.Kind.CART
