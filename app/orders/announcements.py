"""How buyers learn the outcome of an order: by e-mail, and by a notice on their next page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from accounts.services import notice_add, profile_save_delivery
from orders.models import Payment, Sale
from retail.mail.kinds import Content, EmailKind

if TYPE_CHECKING:
    from retail.models import Email

_NOTICES: dict[str, str] = {
    Payment.Failure.DECLINED: "Your card was declined, so order {} was not completed.",
    Payment.Failure.REJECTED: "The payment for order {} was not accepted.",
}
NOT_POSSIBLE = "The payment for order {} could not be completed."  # for any other reason
NOT_CHARGED = "You haven't been charged. Your items are back in your cart, so you can order again."


def sale_announce(*, sale: Sale, payment: Payment, in_background: bool) -> None:
    """Tell the buyer how the order ended, in the transaction that ends it.

    A confirmed order is always confirmed by e-mail. The rest is for buyers whose request was
    answered, or lost, before the outcome was known: `in_background`.
    """
    confirmed = sale.status == Sale.Status.CONFIRMED
    if confirmed:
        CONFIRMED.write(about=sale.reference)
    elif in_background:
        NOT_COMPLETED.write(about=sale.reference)
    if in_background:
        notice_add(
            user_id=sale.user_id,
            is_good=confirmed,
            text=_notice(sale, payment),
            link=order_path(sale.reference),
        )


def order_path(reference: str) -> str:
    """Return the path of an order's page."""
    return reverse("orders:detail", kwargs={"reference": reference})


def _notice(sale: Sale, payment: Payment) -> str:
    if sale.status == Sale.Status.CONFIRMED:
        return f"Your payment was successful and order {sale.reference} is confirmed."
    reason = _NOTICES.get(payment.failure_reason, NOT_POSSIBLE).format(sale.reference)
    return f"{reason} {NOT_CHARGED}"


def _sale_of(email: Email) -> Sale:
    return Sale.objects.select_related("user").get(reference=email.about)


def sale_email(sale: Sale, subject: str, template: str, **context: object) -> Content | None:
    """Compose an e-mail to the address that the buyer gave for the order."""
    recipient = sale.email or sale.user.email
    if not recipient:
        return None
    link = f"{settings.SHOP_URL}{order_path(sale.reference)}" if settings.SHOP_URL else ""
    words = {"sale": sale, "link": link, "shop_name": settings.SHOP_NAME, **context}
    return Content(recipient, subject, render_to_string(template, words))


def _confirmation(email: Email) -> Content | None:
    """Compose an order's confirmation.

    Also saves the delivery details to the customer's profile for the next order.
    """
    sale = _sale_of(email)
    profile_save_delivery(
        user_id=sale.user_id, full_name=sale.delivery_name, address=sale.delivery_address
    )
    subject = f"Your order {sale.reference} at {settings.SHOP_NAME}"
    return sale_email(sale, subject, "orders/confirmation.txt")


def _not_completed(email: Email) -> Content | None:
    sale = _sale_of(email)
    reason = sale.payments.latest("created_at").failure_reason
    subject = f"We couldn't complete order {sale.reference} at {settings.SHOP_NAME}"
    return sale_email(sale, subject, "orders/not_completed.txt", reason=reason)


def _dispatched(email: Email) -> Content | None:
    sale = _sale_of(email)
    subject = f"Your order {sale.reference} is on its way"
    return sale_email(
        sale,
        subject,
        "orders/dispatched.txt",
        return_days=settings.RETURN_DAYS,
    )


def _cancelled(email: Email) -> Content | None:
    sale = _sale_of(email)
    subject = f"Your order {sale.reference} is cancelled"
    return sale_email(sale, subject, "orders/cancelled.txt")


def _mark_confirmation_sent(email: Email) -> None:
    Sale.objects.filter(reference=email.about).update(confirmation_sent_at=timezone.now())


CONFIRMED = EmailKind("order_confirmed", _confirmation, _mark_confirmation_sent)
NOT_COMPLETED = EmailKind("order_not_completed", _not_completed)
DISPATCHED = EmailKind("order_dispatched", _dispatched)
# Only if no refund is announced with it: all of it was refunded before.
CANCELLED = EmailKind("order_cancelled", _cancelled)
