"""How buyers learn the outcome of an order: by e-mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.services import profile_save_delivery
from orders.models import Sale
from retail.mail.kinds import Content, EmailKind

if TYPE_CHECKING:
    from retail.models import Email


def _sale_of(email: Email) -> Sale:
    return Sale.objects.select_related("user").get(reference=email.about)


def _content(sale: Sale, subject: str, template: str, **context: object) -> Content | None:
    if not sale.user.email:
        return None
    words = {"sale": sale, "shop_name": settings.SHOP_NAME, **context}
    return Content(sale.user.email, subject, render_to_string(template, words))


def _confirmation(email: Email) -> Content | None:
    """Compose an order's confirmation.

    Also saves the delivery details to the customer's profile for the next order.
    """
    sale = _sale_of(email)
    profile_save_delivery(
        user_id=sale.user_id, full_name=sale.delivery_name, address=sale.delivery_address
    )
    subject = f"Your order {sale.reference} at {settings.SHOP_NAME}"
    return _content(sale, subject, "orders/confirmation.txt")


def _mark_confirmation_sent(email: Email) -> None:
    Sale.objects.filter(reference=email.about).update(confirmation_sent_at=timezone.now())


CONFIRMED = EmailKind("order_confirmed", _confirmation, _mark_confirmation_sent)
