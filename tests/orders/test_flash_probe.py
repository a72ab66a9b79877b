"""A flash-sale checkout charges nothing, so it leaves the half-open breaker's probe to others."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orders import services
from orders.models import Sale
from orders.recovery import settle_payments
from payments import breaker
from payments.models import CircuitBreaker
from payments.services import BreakerOpenError
from products.models import Product
from tests.support import ScriptedGateway, make_buyer, make_product, order_for

pytestmark = pytest.mark.django_db(transaction=True)


def flash_lamp() -> Product:
    now = timezone.now()
    return make_product(
        "Flash",
        "10.00",
        5,
        flash_price=Decimal("7.00"),
        flash_starts_at=now - timedelta(hours=1),
        flash_ends_at=now + timedelta(hours=1),
    )


def rest_is_over() -> None:
    """Open the breaker, and let the next caller probe."""
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    CircuitBreaker.objects.update(opened_at=timezone.now() - timedelta(hours=1))


def test_a_flash_order_leaves_the_probe_to_those_who_charge(
    buyer: User, lamp: Product, scripted_gateway: ScriptedGateway
) -> None:
    rest_is_over()
    on_flash_sale = flash_lamp()
    before = CircuitBreaker.objects.values().get()
    sales = [
        services.sale_checkout(order=order_for(make_buyer(name), on_flash_sale))
        for name in ("first", "second")
    ]
    assert CircuitBreaker.objects.values().get() == before
    cart_sale = services.sale_checkout(order=order_for(buyer, lamp))
    assert (cart_sale.status, breaker.is_closed()) == ("CONFIRMED", True)
    assert settle_payments() == 2
    for sale in sales:
        sale.refresh_from_db()
        assert sale.status == "CONFIRMED"


def test_the_worker_probes_with_a_flash_order(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    rest_is_over()
    sale = services.sale_checkout(order=order_for(buyer, flash_lamp()))
    assert not breaker.is_closed()
    settle_payments()
    sale.refresh_from_db()
    assert (sale.status, breaker.is_closed()) == ("CONFIRMED", True)


def test_a_flash_order_is_refused_while_the_breaker_rests_or_is_probed(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    rest_is_over()
    order = order_for(buyer, flash_lamp())
    probe = breaker.acquire("prober")
    with pytest.raises(BreakerOpenError):
        services.sale_checkout(order=order)
    breaker.report(probe, succeeded=False)
    with pytest.raises(BreakerOpenError):
        services.sale_checkout(order=order)
    assert not Sale.objects.exists()


def test_an_order_stays_a_flash_order_if_the_sale_ends_during_the_checkout(
    buyer: User, scripted_gateway: ScriptedGateway
) -> None:
    rest_is_over()
    order = order_for(buyer, flash_lamp())
    assert order.kind == "flash"  # the checkout is admitted without a probe
    order.lines[0].product.flash_ends_at = timezone.now()
    assert not order.lines[0].product.flash_active
    assert services.sale_checkout(order=order).kind == "flash"
    assert scripted_gateway.charged == []
    assert CircuitBreaker.objects.get().probe == ""
