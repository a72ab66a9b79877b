"""One of several load processes of orders, cancellations, returns and refunds.

    python -m tests.postgres.refund_crowd <seed> <JSON: as of attempts.py>

Starts when it reads a line and prints a count of outcomes.
"""

from __future__ import annotations

import sys
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.postgres.attempts import LoadThread, main  # sets Django up

from orders.fulfilment import NotDispatchableError, sale_dispatch  # isort: skip
from orders.models import Sale  # isort: skip
from returns import refunds, services  # isort: skip
from returns.errors import RefundProblemError, ReturnProblemError  # isort: skip
from returns.models import Refund, Return  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

REFUSED = (NotDispatchableError, RefundProblemError, ReturnProblemError)


class RefundThread(LoadThread):
    """Random orders, and all that may become of them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        later = [self._cancel, self._dispatch, self._ask, self._approve, self._receive]
        self.actions += [*later, self._close, self._goodwill, self._adopt]

    @staticmethod
    def _outcome(action: Callable[[], str]) -> str:
        try:
            return LoadThread._outcome(action)
        except REFUSED as refusal:
            return type(refusal).__name__

    @staticmethod
    def _any(rows: QuerySet[Any]) -> Any:
        return rows.order_by("?").first()

    def _paid(self) -> Sale | None:
        sale: Sale | None = self._any(Sale.objects.filter(status="CONFIRMED"))
        return sale

    def _cancel(self) -> str:
        if sale := self._paid():
            services.order_cancel(sale=sale, user_id=None)
        return "cancelled"

    def _dispatch(self) -> str:
        if sale := self._paid():
            sale_dispatch(reference=sale.reference, user_id=1)
        return "dispatched"

    def _ask(self) -> str:
        if sale := self._any(Sale.objects.exclude(dispatched_at=None)):
            units = dict.fromkeys(sale.items.values_list("pk", flat=True), 1)
            services.return_request(sale=sale, units=units, reason="other", form_key=uuid.uuid4())
        return "asked"

    def _approve(self) -> str:
        if of_return := self._any(Return.objects.filter(status="requested")):
            units = dict(of_return.items.values_list("pk", "requested"))
            services.return_approve(of_return=of_return, units=units)
        return "approved"

    def _receive(self) -> str:
        if of_return := self._any(Return.objects.filter(status="approved")):
            good = services.Inspected(sellable=1), services.Inspected(damaged=1)
            pks = of_return.items.values_list("pk", flat=True)
            inspected = {pk: self.random.choice(good) for pk in pks}
            services.return_receive(of_return=of_return, inspected=inspected)
        return "received"

    def _close(self) -> str:
        if of_return := self._any(Return.objects.filter(status="received")):
            worth = sum(of_return.items.values_list("value", flat=True), Decimal(0))
            services.return_refund(of_return=of_return, amount=worth, user_id=None)
        return "closed"

    def _goodwill(self) -> str:
        if sale := self._paid():
            refunds.refund_request(
                payment=sale.payments.get(), amount=Decimal("0.50"), reason="goodwill"
            )
        return "refunded"

    def _adopt(self) -> str:
        if refund := self._any(Refund.objects.all()):
            status = self.random.choice(["PENDING", "SUCCEEDED", "FAILED", "CANCELLED"])
            refunds.refund_adopt(refund=refund, status=status)
        return "adopted"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], RefundThread)
