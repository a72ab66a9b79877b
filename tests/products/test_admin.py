"""The catalogue in the admin: stock changes only through the ledger, flash sales are complete."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from products.models import Product
from products.services import MAX_STOCK
from tests.products.support import (
    change_url,
    errors,
    form_data,
    messages_of,
    products_and_movements,
    unsaved,
)
from tests.support import ledger, make_buyer, make_product

pytestmark = pytest.mark.django_db
ADD = "/admin/products/product/add/"


@pytest.mark.parametrize(("difference", "after"), [("5", 15), ("-3", 7), ("-10", 0), ("+2", 12)])
def test_a_change_of_stock_is_a_movement_and_changes_nothing_else(
    admin_client: Client, difference: str, after: int
) -> None:
    lamp, other = make_product(stock=10), make_product("Desk", stock=3)
    before, _ = products_and_movements()
    data = form_data(lamp, stock_difference=difference, stock_reason=" recount \n of  hall 3 ")
    response = admin_client.post(change_url(lamp), data)
    change = int(difference)
    assert messages_of(response)[0] == f"Stock of Lamp: 10 → {after} ({change:+d})."
    assert ledger(lamp) == [(change, "admin", "admin:admin: recount of hall 3")]
    assert ledger(other) == []
    before[0]["stock"] = after
    assert products_and_movements()[0] == before


def test_saving_without_a_change_of_stock_records_no_movement(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    response = admin_client.post(change_url(lamp), form_data(lamp, name="Desk lamp", price="12.00"))
    assert len(messages_of(response)) == 1
    lamp.refresh_from_db()
    assert (lamp.name, lamp.price, lamp.stock) == ("Desk lamp", Decimal("12.00"), 10)
    assert ledger(lamp) == []


def test_stock_cannot_be_overwritten(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    text = admin_client.get(change_url(lamp)).content.decode()
    assert 'name="stock"' not in text
    assert '<div class="readonly">10</div>' in text
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, stock="99", currency="USD")))
    lamp.refresh_from_db()
    assert (lamp.stock, lamp.currency) == (10, "EUR")
    assert ledger(lamp) == []


REFUSED = [
    ("-11", "broken", {"stock_difference": ["Only 10 in stock."]}),
    (
        str(MAX_STOCK - 9),
        "delivery",
        {"stock_difference": ["Stock can't exceed 1000000000."]},
    ),
    (
        str(MAX_STOCK + 1),
        "delivery",
        {
            "stock_difference": [
                "Ensure this value is less than or equal to 1000000000.",
            ]
        },
    ),
    (
        "-" + "9" * 30,
        "broken",
        {"stock_difference": ["Ensure this value is greater than or equal to -1000000000."]},
    ),
    ("9" * 5000, "delivery", {"stock_difference": ["Enter a whole number."]}),
    ("1.5", "delivery", {"stock_difference": ["Enter a whole number."]}),
    ("0", "recount", {"stock_difference": ["Leave this empty to keep the stock unchanged."]}),
    ("", "recount", {"stock_difference": ["Enter the number of units to add or remove."]}),
    ("5", "", {"stock_reason": ["Enter a reason for the change."]}),
    ("5", " \n ", {"stock_reason": ["Enter a reason for the change."]}),
    ("5", "x" * 52, {"stock_reason": ["Enter at most 51 characters."]}),
]


@pytest.mark.parametrize(("difference", "reason", "expected"), REFUSED)
def test_an_invalid_change_of_stock_changes_nothing(
    admin_client: Client, difference: str, reason: str, expected: dict[str, list[str]]
) -> None:
    lamp = make_product(stock=10)
    before = products_and_movements()
    data = form_data(lamp, name="New", stock_difference=difference, stock_reason=reason)
    assert errors(admin_client.post(change_url(lamp), data)) == expected
    assert products_and_movements() == before


def test_the_longest_reason_and_username_fit_the_ledger(admin_client: Client) -> None:
    lamp = make_product(stock=0)
    messages_of(
        admin_client.post(
            change_url(lamp), form_data(lamp, stock_difference="1", stock_reason="x" * 51)
        )
    )
    boss = make_buyer("b" * 150)
    boss.is_staff = boss.is_superuser = True
    boss.save()
    admin_client.force_login(boss)
    assert 'maxlength="32"' in admin_client.get(change_url(lamp)).content.decode()
    messages_of(
        admin_client.post(
            change_url(lamp), form_data(lamp, stock_difference="2", stock_reason="y" * 32)
        )
    )
    references = [
        reference
        for _, _, reference in lamp.movements.values_list("pk", "reason", "reference").order_by(
            "pk"
        )
    ]
    assert references == ["admin:admin: " + "x" * 51, f"admin:{'b' * 24}: " + "y" * 32]


def test_stock_can_reach_the_maximum(admin_client: Client) -> None:
    lamp = make_product(stock=10)
    data = form_data(lamp, stock_difference=str(MAX_STOCK - 10), stock_reason="delivery")
    messages_of(admin_client.post(change_url(lamp), data))
    lamp.refresh_from_db()
    assert lamp.stock == MAX_STOCK


@pytest.mark.parametrize(
    ("stock", "reason", "movements"),
    [
        ("7", "", [(7, "admin", "admin:admin: initial stock")]),
        ("7", "delivery 1", [(7, "admin", "admin:admin: delivery 1")]),
        ("0", "", []),
        ("", "", []),
    ],
)
def test_a_new_product_gets_its_initial_stock(
    admin_client: Client, stock: str, reason: str, movements: list[tuple[int, str, str]]
) -> None:
    assert "Initial stock" in admin_client.get(ADD).content.decode()
    data = form_data(unsaved(), stock_difference=stock, stock_reason=reason)
    messages_of(admin_client.post(ADD, data))
    lamp = Product.objects.get()
    assert (lamp.name, lamp.price, lamp.currency) == ("Lamp", Decimal(10), "EUR")
    assert lamp.stock == int(stock or 0)
    assert list(lamp.movements.values_list("quantity", "reason", "reference")) == movements


def test_initial_stock_cannot_be_negative(admin_client: Client) -> None:
    response = admin_client.post(ADD, form_data(unsaved(), stock_difference="-1"))
    assert errors(response) == {"stock_difference": ["Only 0 in stock."]}
    assert products_and_movements() == [[], []]


def test_a_product_with_movements_cannot_be_deleted_but_one_without_can(
    admin_client: Client,
) -> None:
    lamp, draft = make_product(stock=1), make_product("Draft", stock=0)
    for product, status in ((lamp, 403), (draft, 302)):
        delete_url = f"/admin/products/product/{product.pk}/delete/"
        offered = f'href="{delete_url}"' in admin_client.get(change_url(product)).content.decode()
        assert offered is (status == 302)
        assert admin_client.post(delete_url, {"post": "yes"}).status_code == status
    action = {"action": "delete_selected", "_selected_action": lamp.pk, "post": "yes"}
    admin_client.post("/admin/products/product/", action)
    assert list(Product.objects.all()) == [lamp]


# --- Fields -------------------------------------------------------------------------------------

FLASH = {
    "flash_price": "7.50",
    "flash_starts_at_0": "27/11/2026",
    "flash_starts_at_1": "18:00:00",
    "flash_ends_at_0": "27/11/2026",
    "flash_ends_at_1": "20:00:00",
}
INCOMPLETE = {"__all__": ["A flash sale needs its price, a start, and an end after the start."]}
OUT_OF_RANGE = {"flash_price": ["The flash price must be above zero and at most the price."]}


def test_a_flash_sale_is_configured_and_removed(admin_client: Client) -> None:
    lamp = make_product(price="10.00")
    messages_of(admin_client.post(change_url(lamp), form_data(lamp, **FLASH)))
    lamp.refresh_from_db()
    start = datetime.fromisoformat("2026-11-27T18:00:00+00:00")
    assert lamp.flash_price == Decimal("7.50")
    assert lamp.flash_starts_at == start
    assert lamp.flash_ends_at == start + timedelta(hours=2)
    messages_of(admin_client.post(change_url(lamp), form_data(lamp)))
    lamp.refresh_from_db()
    assert [lamp.flash_price, lamp.flash_starts_at, lamp.flash_ends_at] == [None] * 3


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"flash_price": ""}, INCOMPLETE),
        ({"flash_starts_at_0": "", "flash_starts_at_1": ""}, INCOMPLETE),
        ({"flash_ends_at_0": "", "flash_ends_at_1": ""}, INCOMPLETE),
        ({"flash_ends_at_1": "18:00:00"}, INCOMPLETE),
        ({"flash_ends_at_0": "26/11/2026"}, INCOMPLETE),
        ({"flash_price": "10.01"}, OUT_OF_RANGE),
        ({"flash_price": "-0.01"}, OUT_OF_RANGE),
        ({"flash_price": "0.00"}, OUT_OF_RANGE),
        ({"price": "7.49"}, OUT_OF_RANGE),
        ({"price": "-1"}, {"price": ["The price cannot be negative."]}),
        ({"image": "products/none.svg"}, {"image": ["No such static file."]}),
        ({"image": "products"}, {"image": ["No such static file."]}),
        ({"image": "../settings.py"}, {"image": ["No such static file."]}),
        ({"image": "/etc/passwd"}, {"image": ["No such static file."]}),
        (
            {"image": "products//placeholder.svg"},
            {"image": ["Enter the path without “.” or double slashes."]},
        ),
    ],
)
def test_invalid_fields_are_refused_with_the_reason(
    admin_client: Client, wrong: dict[str, str], expected: dict[str, list[str]]
) -> None:
    lamp = make_product(price="10.00")
    before = products_and_movements()
    stock = {"stock_difference": "5", "stock_reason": "delivery"}
    response = admin_client.post(change_url(lamp), {**form_data(lamp, **FLASH), **stock, **wrong})
    assert errors(response) == expected
    assert products_and_movements() == before


@pytest.mark.parametrize("price", ["0.01", "10.00"])
def test_a_flash_price_may_be_a_cent_or_the_full_price(admin_client: Client, price: str) -> None:
    lamp = make_product(price="10.00")
    messages_of(
        admin_client.post(change_url(lamp), form_data(lamp, **{**FLASH, "flash_price": price}))
    )
    lamp.refresh_from_db()
    assert lamp.flash_price == Decimal(price)
