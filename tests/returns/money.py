"""What the tests of refunds ask for and read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from orders.models import Payment, Sale
from retail.models import Email
from returns.models import Refund
from returns.refunds import refund_request

D = Decimal


def payment_of(sale: Sale) -> Payment:
    return Payment.objects.get(sale=sale)


def ask(sale: Sale, amount: str = "12.50", **options: Any) -> Refund:
    return refund_request(payment=payment_of(sale), amount=D(amount), reason="goodwill", **options)


def reserved(sale: Sale) -> Decimal:
    return payment_of(sale).refund_reserved


def states(sale: Sale) -> list[tuple[str, str, bool]]:
    """Return the status, the failure and whether it is settled, of each refund of an order."""
    refunds = Refund.objects.filter(payment__sale=sale).order_by("pk")
    return [(row.status, row.failure, row.settled_at is not None) for row in refunds]


def emails() -> list[str]:
    return list(
        Email.objects.filter(kind__startswith="refund")
        .order_by("pk")
        .values_list("kind", flat=True)
    )
