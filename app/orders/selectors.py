"""What others read of orders and payments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q, QuerySet
from django.db.models.functions import TruncMinute

from cart.selectors import CartLine
from orders.models import Payment, Sale
from payments.models import CircuitBreaker
from payments.services import BREAKER
from products.models import Product
from retail.db.prepared import Statement, columns, instance
from retail.measures import OpenPayments
from retail.thresholds import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

OVERDUE = timedelta(seconds=THRESHOLDS.unknown_payments.most_age_seconds)
UNFINISHED = (Payment.Status.PENDING, Payment.Status.UNKNOWN)


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


def without_outcome(now: datetime) -> Q:
    """Return the condition of payments without an outcome: UNKNOWN, or PENDING beyond their time.

    A payment's time ends when the worker asks again (PAYMENT_RESEND_AFTER).
    """
    due = now - timedelta(seconds=settings.PAYMENT_RESEND_AFTER)
    return Q(status=Payment.Status.UNKNOWN) | Q(status=Payment.Status.PENDING, created_at__lt=due)


def overdue(now: datetime) -> Q:
    """Return the condition of payments so long without an outcome that they count as failed."""
    return without_outcome(now) & Q(created_at__lt=now - OVERDUE)


def paid_since(moment: datetime) -> bool:
    """Return whether a payment was settled since a moment: completed or declined."""
    return Payment.objects.filter(settled_at__gte=moment).exists()


def unfinished() -> QuerySet[Payment]:
    """Return the payments that are not settled. There is a partial index for this condition."""
    return Payment.objects.filter(status__in=UNFINISHED)


def of_this_gateway(payment: str = "") -> Q:
    """Return the condition of payments that the gateway now configured knows, if it was asked.

    `payment` leads to the payment, such as "payment__".
    """
    return Q(**{f"{payment}gateway__in": ("", settings.GATEWAY_NAME)})


def of_other_gateways(payments: QuerySet[Payment]) -> dict[str, int]:
    """Return how many of these payments each other gateway has."""
    others = payments.exclude(of_this_gateway()).values_list("gateway").order_by("gateway")
    return dict(others.annotate(Count("pk")))


def open_payments(now: datetime) -> list[OpenPayments]:
    """Return the payments that are not settled, by the minute (UTC) in which they were created."""
    unknown = without_outcome(now)
    rows: Iterable[tuple[datetime, int, int, int, datetime | None]] = (
        unfinished()
        .annotate(start=TruncMinute("created_at", tzinfo=UTC))
        .values_list("start")
        .annotate(
            count=Count("pk"),
            unknown=Count("pk", filter=unknown),
            overdue=Count("pk", filter=overdue(now)),
            oldest_unknown=Min("created_at", filter=unknown),
        )
        .order_by("start")
    )
    return [OpenPayments(*row) for row in rows]
