"""Returns and refunds made directly in their tables."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from returns.models import Refund, Return, ReturnItem
from tests.support import make_product

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def make_paid(user: User, total: str = "100.00", currency: str = "EUR") -> Payment:
    """Create a dispatched order of two units with its payment."""
    now = timezone.now()
    sale = Sale.objects.create(
        user=user,
        status="CONFIRMED",
        total=Decimal(total),
        currency=currency,
        idempotency_key=uuid.uuid4(),
        finished_at=now,
        dispatched_at=now,
    )
    SaleItem.objects.create(
        sale=sale,
        product=make_product("Lamp"),
        product_name="Lamp",
        unit_price=Decimal(total) / 2,
        quantity=2,
    )
    return Payment.objects.create(
        sale=sale,
        token="tok_secret",
        amount=sale.total,
        currency=currency,
        status="COMPLETED",
        due_at=now,
        settled_at=now,
    )


def make_refund(payment: Payment, status: str = "REQUESTED", **fields: Any) -> Refund:
    """Create a refund; one that succeeded is settled now unless `settled_at` is given."""
    if status == "SUCCEEDED":
        fields.setdefault("settled_at", timezone.now())
    values = {"amount": Decimal("10.00"), "currency": payment.currency, "reason": "goodwill"}
    return Refund.objects.create(payment=payment, status=status, **{**values, **fields})


def make_return(payment: Payment, status: str = "requested", **fields: Any) -> Return:
    """Create a return of one unit."""
    now = timezone.now()
    if status not in {"requested", "expired"}:
        fields.setdefault("decided_at", now)
    if status in {"received", "closed"}:
        fields.setdefault("received_at", now)
    values = {"reason": "damaged", "note": "It has a crack."}
    made = Return.objects.create(sale=payment.sale, status=status, **{**values, **fields})
    ReturnItem.objects.create(
        of_return=made, sale_item=payment.sale.items.get(), requested=1, approved=1
    )
    return made
