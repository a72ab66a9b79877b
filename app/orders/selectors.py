"""What others read of orders and payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import Count, Q
from django.db.models.functions import TruncMinute

from cart.selectors import CartLine
from orders.models import Payment, Sale
from payments.models import CircuitBreaker
from payments.services import BREAKER
from products.models import Product
from retail.db.prepared import Statement, columns, instance
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

OVERDUE = timedelta(seconds=THRESHOLDS.unknown_payments.most_age_seconds)


@dataclass(frozen=True)
class Unsettled:
    """Payments of one status, made in one minute, that are not settled."""

    start: datetime
    status: str
    count: int
    overdue: int  # UNKNOWN for so long that they count as failed in what people are shown


_TO_BUY = Statement(
    "to_buy",
    f"""
    SELECT item.quantity,
        EXISTS (SELECT 1 FROM orders_sale WHERE user_id = %(user)s AND idempotency_key = %(form)s),
        {columns(Product, "product")}, {columns(CircuitBreaker, "breaker")}
    FROM products_product product
    JOIN cart_cartitem item ON item.product_id = product.id
    JOIN cart_cart cart ON cart.id = item.cart_id
    LEFT JOIN payments_circuitbreaker breaker ON breaker.name = %(breaker)s
    WHERE cart.user_id = %(user)s ORDER BY product.id
    """,  # noqa: S608 - only names of columns are put in
    {"user": "bigint", "form": "uuid", "breaker": "text"},
)
_PRODUCT = 2 + len(Product._meta.concrete_fields)  # noqa: SLF001 - as below; where its columns end
_FORM = Sale._meta.get_field("idempotency_key")  # noqa: SLF001 - public in all but its name


@dataclass(frozen=True)
class ToBuy:
    """What a checkout is about: the lines, whether its form has made an order before, the breaker.

    Where the cart is empty, which that order may have done, the rest is None.
    """

    lines: list[CartLine]
    form_used: bool | None
    breaker: CircuitBreaker | None


def to_buy(*, user_id: int, idempotency_key: UUID) -> ToBuy:
    """Return the lines in the customer's cart, as `cart_lines` does but without categories."""
    key = _FORM.get_db_prep_value(idempotency_key, connection)
    rows = _TO_BUY.rows({"user": user_id, "form": key, "breaker": BREAKER})
    lines = []
    for row in rows:
        product = instance(Product, row[2:_PRODUCT])
        lines.append(CartLine(product, row[0], product.current_price))
    if not rows:
        return ToBuy(lines, None, None)
    known = rows[0][_PRODUCT] is not None
    breaker = instance(CircuitBreaker, rows[0][_PRODUCT:]) if known else None
    return ToBuy(lines, bool(rows[0][1]), breaker)


def payments_unsettled(*, now: datetime) -> list[Unsettled]:
    """Return how many payments are PENDING or UNKNOWN, by the minute (UTC) they were made in."""
    overdue = Q(status=Payment.Status.UNKNOWN, created_at__lt=now - OVERDUE)
    counted: Iterable[tuple[datetime, str, int, int]] = (
        # Said as the index of what is due says it: few rows are read, however many there are.
        Payment.objects.filter(status__in=[Payment.Status.PENDING, Payment.Status.UNKNOWN])
        .annotate(start=TruncMinute("created_at", tzinfo=UTC))
        .values_list("start", "status")
        .annotate(count=Count("pk"), overdue=Count("pk", filter=overdue))
        .order_by("start", "status")
    )
    return [Unsettled(*row) for row in counted]
