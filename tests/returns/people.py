"""Customers with orders, and staff, for the tests of pages."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from cart.services import cart_add, cart_of_user
from orders.fulfilment import sale_dispatch
from orders.models import Sale
from orders.services import sale_checkout
from returns import services
from returns.models import Refund, Return
from returns.refunds import refund_adopt
from tests.support import make_buyer, make_product, order_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from products.models import Product

ROWS: tuple[Any, ...] = (Return.objects, Refund.objects, Sale.objects)


def bought(
    buyer: User, quantities: Mapping[Product, int] | None = None, *, dispatched: bool = True
) -> Sale:
    """Buy products, by default three lamps at 10.00; needs a scripted gateway."""
    for product, quantity in (quantities or {make_product(): 3}).items():
        cart_add(cart=cart_of_user(user_id=buyer.pk), product_id=product.pk, quantity=quantity)
    sale = sale_checkout(order=order_of(buyer))
    if dispatched:
        sale_dispatch(reference=sale.reference, user_id=buyer.pk)
    sale.refresh_from_db()
    return sale


def requested(sale: Sale, units: int = 2, reason: str = "changed_mind") -> Return:
    """Request the return of units of an order's first line."""
    line = sale.items.order_by("pk")[0]
    return services.return_request(
        sale=sale, units={line.pk: units}, reason=reason, form_key=uuid.uuid4()
    )


def approved(sale: Sale, units: int = 2, reason: str = "changed_mind") -> Return:
    """Request a return and approve all of it."""
    of_return = requested(sale, units, reason)
    services.return_approve(of_return=of_return, units={of_return.items.get().pk: units})
    of_return.refresh_from_db()
    return of_return


def received(sale: Sale, sellable: int = 1, damaged: int = 1, lost: int = 0) -> Return:
    """Request a return, approve it and record what arrived."""
    of_return = approved(sale, sellable + damaged + lost)
    found = services.Inspected(sellable, damaged, lost)
    services.return_receive(of_return=of_return, inspected={of_return.items.get().pk: found})
    of_return.refresh_from_db()
    return of_return


def refunded(sale: Sale, amount: str = "20.00", message: str = "One was damaged.") -> Refund:
    """Request a refund for a received return."""
    refund = services.return_refund(
        of_return=received(sale), amount=Decimal(amount), user_id=None, message=message
    )
    assert refund is not None
    return refund


def owed(refund: Refund) -> Refund:
    """Let a refund fail for good, so that staff must decide."""
    refund_adopt(refund=refund, status=Refund.Status.FAILED, failure=Refund.Failure.DISPUTED)
    refund.refresh_from_db()
    return refund


def lost_at_gateway(refund: Refund) -> Refund:
    """Let the gateway know nothing of a refund that was sent."""
    Refund.objects.filter(pk=refund.pk).update(status=Refund.Status.NEEDS_HUMAN)
    refund.refresh_from_db()
    return refund


def staff_client(name: str, *permissions: str) -> Client:
    """Return a client logged in as staff with permissions of the returns app."""
    user = make_buyer(name)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    app = {"content_type__app_label": "returns"}
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions, **app))
    client = Client()
    client.force_login(user)
    return client


def helper() -> Client:
    """Return a client logged in as staff who may do everything here."""
    return staff_client("helper", "view_return", "change_return", "view_refund", "change_refund")


def looker() -> Client:
    """Return a client logged in as staff who may only look."""
    return staff_client("looker", "view_return", "view_refund")


def state() -> list[object]:
    """Return all rows that these pages may change."""
    return [list(rows.order_by("pk").values()) for rows in ROWS]


def text_of(answer: object) -> str:
    """Return a page's text with plain apostrophes and single spaces."""
    content: bytes = answer.content  # type: ignore[attr-defined]
    return " ".join(content.decode().replace("&#x27;", "'").split())
