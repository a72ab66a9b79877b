"""What pages and e-mails show of returns and refunds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from returns.measures import RETURN_STATES
from returns.models import ENDED, Refund, Return
from returns.selectors import ARRIVED, returnable_until, units_left, unsettled

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from uuid import UUID

FOR_STAFF = Q(status__in=(*ENDED, Refund.Status.NEEDS_HUMAN))


@dataclass(frozen=True)
class Line:
    """A line of an order, and how many of its units can still be returned."""

    item: SaleItem
    left: int


@dataclass(frozen=True)
class OrderReturns:
    """What a paid order's page shows: what can be done, and what became of goods and money."""

    sale: Sale
    payment: Payment
    until: datetime | None
    lines: list[Line]
    returns: list[Return]
    refunds: list[Refund]

    @property
    def cancellable(self) -> bool:
        """Whether the order can still be cancelled."""
        return self.sale.dispatched_at is None and self.sale.cancelled_at is None

    @property
    def returnable(self) -> bool:
        """Whether units are left that can still be returned."""
        return self.in_time and any(line.left for line in self.lines)

    @property
    def in_time(self) -> bool:
        """Whether it was dispatched, and not too long ago."""
        return self.until is not None and timezone.now() <= self.until

    @property
    def left(self) -> Decimal:
        """What can still be refunded."""
        return self.payment.amount - self.payment.refund_reserved


def payment_of(sale: Sale) -> Payment | None:
    """Return the payment that paid an order, if it is paid."""
    paid = (row for row in sale.payments.all() if row.status == Payment.Status.COMPLETED)
    return next(paid, None)


def order_returns(sale: Sale) -> OrderReturns | None:
    """Return the returns and refunds of an order, newest first; None if it was not paid."""
    payment = payment_of(sale)
    if payment is None:
        return None
    refunds = payment.refunds.order_by("-created_at", "-pk")
    until = returnable_until(sale)
    if until is None:  # nothing of it can be in a return
        lines = [Line(item, item.quantity) for item in sale.items.all()]
        return OrderReturns(sale, payment, until, lines, [], list(refunds))
    left = units_left(sale)
    lines = [Line(item, left[item.pk]) for item in sale.items.all()]
    returns = sale.returns.prefetch_related("items__sale_item").order_by("-requested_at", "-pk")
    return OrderReturns(sale, payment, until, lines, list(returns), list(refunds))


def return_of_form(sale: Sale, form_key: UUID | None) -> Return | None:
    """Return the return that a form has already requested."""
    return sale.returns.filter(form_key=form_key).first() if form_key else None


def send_back_until(of_return: Return) -> datetime | None:
    """Return until when the goods of an approved return have to be sent back."""
    if of_return.decided_at is None:
        return None
    return of_return.decided_at + timedelta(days=settings.RETURN_DAYS)


def worth(of_return: Return) -> Decimal:
    """Return what was paid for a return's units: those that arrived, or those that may."""
    items = of_return.items.all()
    zero = of_return.sale.total * 0
    if of_return.status in ARRIVED:
        return sum((item.value for item in items), start=zero)
    requested = of_return.status == Return.Status.REQUESTED
    units = ((item.sale_item, item.requested if requested else item.approved) for item in items)
    return sum((item.unit_price * count for item, count in units), start=zero)


def chain(refund: Refund) -> list[Refund]:
    """Return the refunds that paid the same debt, oldest first."""
    rows = [*reversed(refund.earlier()), refund]
    refunds = Refund.objects.select_related("payment__sale")
    while (later := refunds.filter(replaces=rows[-1]).first()) is not None:
        rows.append(later)
    return rows


def open_returns() -> QuerySet[Return]:
    """Return the returns that wait for somebody, oldest first."""
    rows = Return.objects.filter(status__in=RETURN_STATES).order_by("requested_at", "pk")
    return rows.select_related("sale").prefetch_related("items__sale_item")


def refunds_for_staff() -> QuerySet[Refund]:
    """Return the refunds that wait for a person, oldest first: owed, or with unknown outcome."""
    return _by_age(unsettled().filter(FOR_STAFF))


def refunds_on_the_way() -> QuerySet[Refund]:
    """Return the refunds that the worker settles, oldest first."""
    return _by_age(unsettled().exclude(FOR_STAFF))


def _by_age(refunds: QuerySet[Refund]) -> QuerySet[Refund]:
    return refunds.select_related("payment__sale").order_by("created_at", "pk")


def sums(refunds: QuerySet[Refund]) -> list[tuple[str, int, Decimal]]:
    """Return currency, count and sum of refunds, by currency."""
    rows = refunds.order_by("currency").values_list("currency")
    return list(rows.annotate(Count("pk"), Sum("amount")))
