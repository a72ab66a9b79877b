"""The e-mail that confirms an order."""

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.utils import timezone

from accounts.services import profile_save_delivery
from orders.models import Sale
from retail.jobs import job


@job()
def send_confirmation(sale_id: int) -> str:
    """Send an order's confirmation once, if the customer has an e-mail address.

    Also saves the delivery details to the customer's profile for the next order.
    """
    sale = Sale.objects.select_related("user").get(pk=sale_id)
    profile_save_delivery(
        user_id=sale.user_id, full_name=sale.delivery_name, address=sale.delivery_address
    )
    if not sale.user.email:
        return "no address"
    # Mark it as sent first: a crash may lose the e-mail, but it is never sent twice. The order page
    # shows the same information.
    claimed = Sale.objects.filter(pk=sale_id, confirmation_sent_at=None).update(
        confirmation_sent_at=timezone.now()
    )
    if not claimed:
        return "already sent"
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
