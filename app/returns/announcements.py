"""E-mails about returns and refunds, one at each change that matters to the customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from orders.announcements import sale_email
from retail.mail.kinds import EmailKind
from returns.models import Refund, Return

if TYPE_CHECKING:
    from retail.mail.kinds import Content
    from retail.models import Email


def _return_kind(status: str, subject: str) -> EmailKind:
    """Declare the e-mail about one status of a return; its template is named after the status."""

    def compose(email: Email) -> Content | None:
        returns = Return.objects.select_related("sale__user")
        of_return = returns.prefetch_related("items__sale_item").get(reference=email.about)
        return sale_email(
            of_return.sale,
            subject.format(of_return.sale.reference),
            f"returns/mail/return_{status}.txt",
            of_return=of_return,
            items=of_return.items.all(),
            return_days=settings.RETURN_DAYS,
        )

    return EmailKind(f"return_{status}", compose)


def _refund_kind(event: str, subject: str) -> EmailKind:
    """Declare the e-mail about one event of a refund; its template is named after the event."""

    def compose(email: Email) -> Content | None:
        refunds = Refund.objects.select_related("payment__sale__user", "of_return")
        refund = refunds.get(reference=email.about)
        sale = refund.payment.sale
        template = f"returns/mail/refund_{event}.txt"
        retrying = Refund.objects.filter(replaces=refund).exists()
        words = {"refund": refund, "retrying": retrying}
        return sale_email(sale, subject.format(sale.reference), template, **words)

    return EmailKind(f"refund_{event}", compose)


RETURN_REQUESTED = _return_kind("requested", "We received your return request for order {}")
RETURN_APPROVED = _return_kind("approved", "Your return for order {} is approved")
RETURN_REJECTED = _return_kind("rejected", "About your return request for order {}")
RETURN_RECEIVED = _return_kind("received", "We checked your return for order {}")
RETURN_EXPIRED = _return_kind("expired", "Your return for order {} has ended")
RETURN_CLOSED = _return_kind("closed", "Your return for order {} is closed")
REFUND_REQUESTED = _refund_kind("requested", "Your refund for order {} is on its way")
REFUND_PAID = _refund_kind("paid", "Your refund for order {} was paid out")
REFUND_FAILED = _refund_kind("failed", "Your refund for order {} is delayed")

KINDS = [
    kind.name
    for kind in (
        *(RETURN_REQUESTED, RETURN_APPROVED, RETURN_REJECTED, RETURN_RECEIVED, RETURN_EXPIRED),
        *(RETURN_CLOSED, REFUND_REQUESTED, REFUND_PAID, REFUND_FAILED),
    )
]
