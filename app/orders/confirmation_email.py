"""The letter that confirms an order."""

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.services import profile_save_delivery
from orders.models import Sale
from retail.jobs import job


@job()
def send_confirmation(sale_id: int) -> str:
    """Send the confirmation of an order, once, if its customer gave an address.

    Where it went is kept for the customer's next order.
    """
    sale = Sale.objects.select_related("user").get(pk=sale_id)
    profile_save_delivery(
        user_id=sale.user_id, full_name=sale.delivery_name, address=sale.delivery_address
    )
    if not sale.user.email:
        return "no address"
    # Taken before it is sent: a letter too few is mended by the order page, two letters by nothing.
    taken = Sale.objects.filter(pk=sale_id, confirmation_sent_at=None).update(
        confirmation_sent_at=timezone.now()
    )
    if not taken:
        return "sent before"
    try:
        send_mail(
            subject=f"Your order {sale.reference} at {settings.SHOP_NAME}",
            message=render_to_string(
                "orders/confirmation.txt", {"sale": sale, "shop_name": settings.SHOP_NAME}
            ),
            from_email=None,
            recipient_list=[sale.user.email],
        )
    except Exception:
        Sale.objects.filter(pk=sale_id).update(confirmation_sent_at=None)
        raise
    return "sent"
