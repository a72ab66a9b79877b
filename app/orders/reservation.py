"""Step 2 of a checkout: the order, its lines, its payment and the stock, all or nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from cart.services import CartChangedError, cart_take_out
from orders import reservation_sql
from orders.models import Payment, Sale, SaleItem
from products.services import SoldOutError, stock_take
from retail.observability import current_request_id

if TYPE_CHECKING:
    from orders.order import CheckoutRequest


def reserve(order: CheckoutRequest, payment_key: str) -> tuple[Sale, Payment]:
    """Move the order's lines from the cart into an order that waits for its payment.

    The customer's cart is locked first, then the stock's rows, until the commit, with no call to
    anyone outside in between. Raises CartChangedError if the cart no longer holds these lines (in
    another tab they were ordered a moment ago), SoldOutError; IntegrityError for a form sent twice,
    or if the stock would fall below zero in spite of the condition.
    """
    if not order.lines:
        raise CartChangedError  # a cart never holds nothing: it was emptied
    now = timezone.now()
    sale = Sale(
        user_id=order.user_id,
        kind=order.kind,
        total=order.total,
        currency=order.currency,
        idempotency_key=order.idempotency_key,
        delivery_name=order.delivery_name,
        delivery_address=order.delivery_address,
        request_id=current_request_id(),
        created_at=now,
    )
    # A flash sale's payment is the worker's from the start; another only if its request dies.
    patience = 0 if sale.kind == Sale.Kind.FLASH else settings.PAYMENT_RESEND_AFTER
    payment = Payment(
        key=payment_key,
        token=order.payment_token,
        amount=order.total,
        currency=order.currency,
        created_at=now,
        due_at=now + timedelta(seconds=patience),
    )
    if connection.vendor == "postgresql":
        _write_at_once(order, sale, payment)
    else:
        _write_in_steps(order, sale, payment)
    return sale, payment


def _write_at_once(order: CheckoutRequest, sale: Sale, payment: Payment) -> None:
    written = reservation_sql.write(order, sale, payment)
    if not written.cart_held:
        raise CartChangedError
    if written.sale_id is None:
        raise SoldOutError(min(order.quantities.keys() - set(written.in_stock)))
    for row, key in ((sale, written.sale_id), (payment, written.payment_id)):
        row.pk = key
        row._state.adding = False  # noqa: SLF001 - Django's own way to say that the row is there
    payment.sale = sale


@transaction.atomic
def _write_in_steps(order: CheckoutRequest, sale: Sale, payment: Payment) -> None:
    """Do the same with the ORM, for SQLite, where there is but one writer anyway."""
    cart_take_out(user_id=order.user_id, quantities=order.quantities)
    stock_take(quantities=order.quantities, reference=sale.reference)
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
    payment.sale = sale
    payment.save(force_insert=True)
