"""What orders store of a person. Orders are kept for the books, without who they went to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from orders.announcements import CANCELLED, CONFIRMED, DISPATCHED, NOT_COMPLETED
from orders.fulfilment import to_dispatch
from orders.models import Payment, Sale, SaleItem
from orders.selectors import unfinished
from retail.models import Email
from retail.personal_data import ErasureRefusedError, PersonalData, register, rows

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet

KINDS = [CONFIRMED.name, NOT_COMPLETED.name, DISPATCHED.name, CANCELLED.name]
_NOBODY: dict[str, Any] = {"delivery_name": "", "delivery_address": "", "email": ""}
_SOMEBODY = ~Q(**_NOBODY)
BATCH = 1000


def _export(user_id: int) -> list[dict[str, Any]]:
    sales = rows(
        Sale.objects.filter(user=user_id),
        *("id", "reference", "status", "kind", "total", "currency", *_NOBODY),
        *("created_at", "finished_at", "confirmation_sent_at", "dispatched_at", "cancelled_at"),
    )
    for sale in sales:
        key = sale.pop("id")
        items = SaleItem.objects.filter(sale=key)
        payments = Payment.objects.filter(sale=key)
        sale["items"] = rows(items, "product_name", "unit_price", "quantity")
        sale["payments"] = rows(
            payments,
            *("key", "token", "amount", "currency", "status", "created_at", "settled_at"),
            *("refund_reserved", "disputed_at"),
        )
    return sales


def _forget(sales: QuerySet[Sale]) -> int:
    """Make orders anonymous that have ended; return how many. The gateway keeps what it charged."""
    keys = list(sales.values_list("pk", flat=True))
    Payment.objects.filter(sale__in=keys).exclude(token="").update(token="")
    return Sale.objects.filter(pk__in=keys).update(**_NOBODY)


def _erase(user_id: int) -> None:
    # Nobody can place another order meanwhile: the cart is locked.
    if unfinished().filter(sale__user=user_id).exists():
        raise ErasureRefusedError(
            "The payment of one of your orders has not ended. Try again in a few minutes."
        )
    if to_dispatch().filter(user=user_id).exists():  # the address is needed to send it
        raise ErasureRefusedError(
            "One of your orders has not been dispatched. Cancel it, or try again when it has been."
        )
    sales = Sale.objects.filter(user=user_id)
    references = list(sales.values_list("reference", flat=True))
    Email.objects.filter(kind__in=KINDS, about__in=references).delete()
    _forget(sales)


@transaction.atomic
def _forget_batch(before: datetime) -> int:
    old = Sale.objects.filter(_SOMEBODY, finished_at__lt=before)
    return _forget(old.exclude(pk__in=to_dispatch().values("pk"))[:BATCH])


def forget_old(now: datetime) -> int:
    """Make orders anonymous that ended ORDER_DETAILS_KEEP_DAYS ago; return how many.

    What is paid and not dispatched yet keeps its address.
    """
    before, count = now - timedelta(days=settings.ORDER_DETAILS_KEEP_DAYS), 0
    while done := _forget_batch(before):
        count += done
    return count


def _emails(user_id: int) -> QuerySet[Email]:
    references = Sale.objects.filter(user=user_id).values("reference")
    return Email.objects.filter(kind__in=KINDS, about__in=references)


register(
    PersonalData(
        section="orders",
        models=["orders.Sale", "orders.SaleItem", "orders.Payment"],
        export=_export,
        erase=_erase,
        left="what was sold and paid, without name, address, e-mail address and card token",
        kept="these four, `ORDER_DETAILS_KEEP_DAYS` after the order's end",
    )
)
register(
    PersonalData(
        section="order_emails",
        models=["retail.Email"],
        export=lambda user_id: rows(
            _emails(user_id), "kind", "about", "state", "created_at", "ended_at"
        ),
        erase=lambda _user_id: None,  # along with the orders
        left="nothing",
        kept="`EMAIL_KEEP_DAYS`",
    )
)
