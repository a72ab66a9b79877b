"""Step 2 of a checkout: reserve stock and create the order with its payment, atomically."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from cart.services import CartChangedError, cart_remove_lines
from orders import reservation_sql
from orders.models import Payment, Sale, SaleItem
from products.services import SoldOutError, stock_reserve
from retail.observability import current_request_id

if TYPE_CHECKING:
    from datetime import datetime

    from orders.order import CheckoutRequest


def reserve(order: CheckoutRequest, payment_key: str) -> tuple[Sale, Payment]:
    """Move lines from the cart into a new order with a pending payment.

    Locks the customer's cart, then the products' rows, until the commit; no external call is made
    in between. Raises CartChangedError if the cart no longer contains these lines (such as after an
    order in another tab), SoldOutError if stock is missing, and IntegrityError for a form submitted
    twice or if the stock would fall below zero despite the check.
    """
    if not order.lines:
        raise CartChangedError  # emptied since the form was shown
    now = timezone.now()
    sale = Sale(
        user_id=order.user_id,
        kind=order.kind,
        total=order.total,
        currency=order.currency,
        idempotency_key=order.idempotency_key,
        delivery_name=order.delivery_name,
        delivery_address=order.delivery_address,
        email=order.email,
        request_id=current_request_id(),
        created_at=now,
    )
    # The worker charges a flash sale's payment at once, others only if their request dies.
    flash = sale.kind == Sale.Kind.FLASH
    due_in = 0 if flash else settings.PAYMENT_RESEND_AFTER
    payment = Payment(
        key=payment_key,
        token=order.payment_token,
        amount=order.total,
        currency=order.currency,
        created_at=now,
        sent_at=None if flash else now,  # from its commit on, a charge may be on its way
        due_at=now + timedelta(seconds=due_in),
    )
    if connection.vendor == "postgresql":
        _reserve_in_one_statement(order, sale, payment)
    else:
        _reserve_with_orm(order, sale, payment)
    return sale, payment


def _reserve_in_one_statement(order: CheckoutRequest, sale: Sale, payment: Payment) -> None:
    result = reservation_sql.reserve(order, sale, payment)
    if not result.cart_unchanged:
        raise CartChangedError
    if result.sale_id is None:
        raise SoldOutError(min(order.quantities.keys() - set(result.in_stock)))
    for row, key in ((sale, result.sale_id), (payment, result.payment_id)):
        row.pk = key
        row._state.adding = False  # noqa: SLF001 - documented: marks the instance as saved
    payment.sale = sale
    _date(sale, payment, result.reserved_at or sale.created_at)


@transaction.atomic
def _reserve_with_orm(order: CheckoutRequest, sale: Sale, payment: Payment) -> None:
    """Reserve with the ORM. For SQLite, where writers are serialised anyway."""
    cart_remove_lines(user_id=order.user_id, quantities=order.quantities)
    stock_reserve(quantities=order.quantities, reference=sale.reference)
    _date(sale, payment, timezone.now())
    sale.save(force_insert=True)
    SaleItem.objects.bulk_create(
        [
            SaleItem(
                sale=sale,
                product=line.product,
                product_name=line.product.name,
                unit_price=line.unit_price,
                quantity=line.quantity,
            )
            for line in order.lines
        ]
    )
    payment.sale = sale  # copies the new id
    payment.save(force_insert=True)


def _date(sale: Sale, payment: Payment, at: datetime) -> None:
    """Date the order: the wait for locks before it is not part of the payment's age."""
    waited = at - sale.created_at
    payment.due_at += waited
    if payment.sent_at is not None:
        payment.sent_at += waited
    sale.created_at = payment.created_at = at
