"""A return locks its products in the order in which everybody does."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from orders.fulfilment import sale_dispatch
from orders.models import Sale, new_payment_key
from orders.reservation import reserve
from orders.settlement import payment_settle
from payments.services import Answer
from products.models import Product, StockMovement
from products.services import stock_put_back
from returns import services
from returns.services import Inspected, return_approve, return_receive, return_request
from tests.postgres.interleaving import interleave, paused_before
from tests.support import fill_cart, make_product, order_of, unbalanced_products

if TYPE_CHECKING:
    from django.contrib.auth.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def buy(user: User, *products: Product, quantity: int = 3) -> Sale:
    """Return a paid order."""
    fill_cart(user, **{f"p{product.pk}": quantity for product in products})
    placed, payment = reserve(order_of(user), new_payment_key())
    assert payment_settle(payment=payment, answer=Answer.APPROVED)
    return Sale.objects.get(pk=placed.pk)


def test_a_return_locks_its_products_in_order(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged unit of the first product is written off, and both come back elsewhere."""
    first, second = make_product("First"), make_product("Second")
    sale = buy(anna, first, second, quantity=1)
    sale_dispatch(reference=sale.reference, user_id=1)
    units = dict.fromkeys(sale.items.values_list("pk", flat=True), 1)
    of_return = return_request(sale=sale, units=units, reason="other", form_key=uuid.uuid4())
    items = {item.sale_item.product_id: item.pk for item in of_return.items.all()}
    return_approve(of_return=of_return, units=dict.fromkeys(items.values(), 1))
    inspected = {items[first.pk]: Inspected(damaged=1), items[second.pk]: Inspected(sellable=1)}

    def receive() -> None:
        return_receive(of_return=of_return, inspected=inspected)

    def put_back() -> None:
        stock_put_back(
            quantities={first.pk: 1, second.pk: 1},
            reason=StockMovement.Reason.CANCEL,
            reference="VT-1",
        )

    receiving = paused_before(monkeypatch, services, "stock_write_off", receive)
    result = interleave(receiving, put_back)
    assert (result.first, result.second, result.waited) == (None, None, True)
    assert unbalanced_products() == []
    assert list(Product.objects.order_by("pk").values_list("stock", flat=True)) == [10, 11]
