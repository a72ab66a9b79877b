"""Helpers that read and check what a checkout changes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F
from django.utils import timezone

from cart.models import CartItem
from orders.models import Payment, Sale
from products.models import Product
from retail.models import Email, Metric
from retail.observability.rows.recorder import recorder
from tests.support import ledger

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from orders.order import CheckoutRequest


def rows() -> list[tuple[str, float]]:
    recorder.flush()
    return list(Metric.objects.order_by("pk").values_list("metric_type", "value"))


def stock_of(product: Product) -> int:
    return Product.objects.get(pk=product.pk).stock


def cart_of(user: User) -> dict[int, int]:
    return dict(CartItem.objects.filter(cart__user=user).values_list("product_id", "quantity"))


def set_last_read_stock(order: CheckoutRequest, stock: int) -> None:
    """Make the lines' products look as if `stock` was left; only the reservation knows better."""
    for line in order.lines:
        line.product.stock = stock


def assert_nothing_reserved(product: Product, user: User, in_cart: int) -> None:
    assert stock_of(product) == 5
    assert ledger(product) == []
    assert not Sale.objects.exists()
    assert not Payment.objects.exists()
    assert not Email.objects.exists()
    assert cart_of(user) == {product.pk: in_cart}


def pass_time(seconds: float) -> None:
    """Let the time pass for all payments; whatever they wait for is due then."""
    past = timedelta(seconds=seconds)
    Payment.objects.update(
        created_at=F("created_at") - past,
        sent_at=F("sent_at") - past,
        due_at=timezone.now() - timedelta(seconds=1),
    )
