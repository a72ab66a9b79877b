"""The admin form of a product: changes of stock on top of each other, and prices."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from products.models import StockMovement
from products.services import stock_adjust, stock_reserve
from tests.products.support import change_url, errors, form_data, messages_of
from tests.support import ledger, make_product

if TYPE_CHECKING:
    from django.test import Client

    from products.models import Product

pytestmark = pytest.mark.django_db
ADMIN = StockMovement.Reason.ADMIN


def seen(page: str) -> str:
    """Return the last change of stock that a page knows of."""
    [value] = re.findall(r'name="stock_change_seen" value="(\d*)"', page)
    return str(value)


def change(product: Product, difference: int, reference: str = "admin:bea: recount") -> None:
    stock_adjust(product_id=product.pk, difference=difference, reason=ADMIN, reference=reference)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_change_on_top_of_one_that_was_not_seen_is_confirmed_first(
    admin_client: Client, *, earlier: bool
) -> None:
    lamp = make_product(stock=10)
    if earlier:
        change(lamp, 1)
    shown = seen(admin_client.get(change_url(lamp)).content.decode())
    assert shown == (str(lamp.movements.get(reason=ADMIN).pk) if earlier else "0")
    change(lamp, 5)
    before = ledger(lamp)
    data = form_data(lamp, stock_difference="-2", stock_reason="damaged", stock_change_seen=shown)
    answer = admin_client.post(change_url(lamp), data)
    assert errors(answer) == {
        "stock_difference": [
            (
                "The stock was changed while this page was open: +5 (admin:bea: recount). "
                "Save again if your change comes on top."
            )
        ]
    }
    assert ledger(lamp) == before
    data["stock_change_seen"] = seen(answer.content.decode())
    messages_of(admin_client.post(change_url(lamp), data))
    assert ledger(lamp) == [*before, (-2, "admin", "admin:admin: damaged")]


def test_sales_and_changes_of_other_products_need_no_confirmation(admin_client: Client) -> None:
    lamp, desk = make_product("Lamp", stock=10), make_product("Desk", stock=10)
    change(lamp, 1)
    shown = seen(admin_client.get(change_url(lamp)).content.decode())
    stock_reserve(quantities={lamp.pk: 2}, reference="VT-1")
    change(desk, 5)
    data = form_data(lamp, stock_difference="4", stock_reason="found", stock_change_seen=shown)
    text = messages_of(admin_client.post(change_url(lamp), data))[0]
    assert text == "Stock of Lamp: 9 → 13 (+4)."


@pytest.mark.parametrize("price", ["0.00", "0.01", "0.99"])
def test_a_product_that_is_not_on_sale_may_have_any_price(admin_client: Client, price: str) -> None:
    lamp = make_product(is_active=False)
    data = form_data(lamp, price=price)
    del data["is_active"]
    messages_of(admin_client.post(change_url(lamp), data))
    lamp.refresh_from_db()
    assert str(lamp.price) == price
    answer = admin_client.post(change_url(lamp), {**data, "price": "-0.01"})
    assert errors(answer) == {"price": ["The price cannot be negative."]}
