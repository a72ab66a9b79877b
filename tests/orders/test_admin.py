"""Orders and payments in the admin: searchable, complete and read-only."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from tests.support import make_buyer, make_product

pytestmark = pytest.mark.django_db


def make_sale(user: User, lines: int = 1, **fields: Any) -> Sale:
    """Create an order with a number of lines and a failed payment."""
    sale = Sale.objects.create(
        user=user,
        total=Decimal("20.00") * lines,
        currency="EUR",
        idempotency_key=uuid.uuid4(),
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
        **fields,
    )
    for number in range(lines):
        product = make_product(f"Lamp {number}")
        SaleItem.objects.create(
            sale=sale,
            product=product,
            product_name=f"Lamp {number} as it was called",
            unit_price=Decimal("10.00"),
            quantity=2,
        )
    Payment.objects.create(
        sale=sale,
        token="tok_secret",
        amount=sale.total,
        currency="EUR",
        due_at=timezone.now(),
        status="FAILED",
        failure_reason="declined",
    )
    return sale


def rows(client: Client, model: str, **query: str) -> list[Any]:
    response = client.get(f"/admin/orders/{model}/", query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_a_sale_is_shown_with_its_lines_and_payments(admin_client: Client) -> None:
    sale = make_sale(make_buyer(), 2)
    page = admin_client.get(f"/admin/orders/sale/{sale.pk}/change/")
    text = page.content.decode()
    payment = Payment.objects.get()
    for value in (
        *(sale.reference, "buyer", "1 Example Street", str(sale.idempotency_key), "40.00"),
        *("Lamp 0 as it was called", "Lamp 1 as it was called", "20.00"),
        *(payment.key, "the card was declined"),
    ):
        assert value in text, value
    assert 'name="_save"' not in text
    assert 'name="total"' not in text


def test_the_payment_token_is_not_shown(admin_client: Client) -> None:
    sale = make_sale(make_buyer())
    payment = Payment.objects.get()
    for page in (f"sale/{sale.pk}/change/", "payment/", f"payment/{payment.pk}/change/"):
        text = admin_client.get(f"/admin/orders/{page}").content.decode()
        assert "tok_secret" not in text
        assert sale.reference in text


def test_the_sale_page_makes_the_same_queries_for_any_number_of_lines(
    admin_client: Client,
) -> None:
    buyer = make_buyer()
    counts = []
    for lines in (1, 1, 30):
        sale = make_sale(buyer, lines)
        with CaptureQueriesContext(connection) as queries:
            page = admin_client.get(f"/admin/orders/sale/{sale.pk}/change/")
        assert page.content.decode().count("as it was called</p>") == lines
        counts.append(len(queries))
    assert counts[1] == counts[2]


def test_sales_are_found_by_reference_and_customer(admin_client: Client) -> None:
    bea = make_buyer("bea")
    first, second = make_sale(bea), make_sale(bea)
    other = make_sale(make_buyer("beate"))
    make_sale(make_buyer("carl"))
    for query, expected in (
        (first.reference, [first]),
        (f" {second.reference.lower()} ", [second]),
        ("bea", [other, second, first]),
        ("BEATE", [other]),
        (first.reference[:-1], []),
        ("eat", []),
    ):
        assert rows(admin_client, "sale", q=query) == expected, query
        items = [item.sale for item in rows(admin_client, "saleitem", q=query)]
        assert items == expected, query
        payments = [payment.sale for payment in rows(admin_client, "payment", q=query)]
        assert payments == expected, query
    assert len(rows(admin_client, "sale", q=" ")) == 4


def test_a_payment_is_found_by_its_key(admin_client: Client) -> None:
    bea = make_buyer("bea")
    make_sale(bea)
    sale = make_sale(bea)
    payment = sale.payments.get()
    assert rows(admin_client, "payment", q=payment.key) == [payment]
    assert rows(admin_client, "payment", q="0" * 32) == []


def test_a_search_covers_at_most_a_hundred_customers(admin_client: Client) -> None:
    users = User.objects.bulk_create(User(username=f"user{number:03}") for number in range(101))
    for user in users:
        make_sale(user, 0)
    usernames = [sale.user.username for sale in rows(admin_client, "sale", q="user")]
    assert sorted(usernames) == [f"user{number:03}" for number in range(100)]


def test_lists_are_filtered_by_status_and_kind(admin_client: Client) -> None:
    bea = make_buyer("bea")
    plain, flash = make_sale(bea), make_sale(bea, kind="flash", status="CONFIRMED")
    flash.payments.update(status="COMPLETED", failure_reason="")
    assert rows(admin_client, "sale", status__exact="CONFIRMED") == [flash]
    assert rows(admin_client, "sale", kind__exact="cart") == [plain]
    assert rows(admin_client, "sale", kind__exact="cart", status__exact="CONFIRMED") == []
    assert rows(admin_client, "payment", status__exact="COMPLETED") == [flash.payments.get()]
    declined = rows(admin_client, "payment", failure_reason__exact="declined")
    assert declined == [plain.payments.get()]


def test_the_newest_sale_comes_first(admin_client: Client) -> None:
    bea = make_buyer("bea")
    sales = [make_sale(bea) for _ in range(3)]
    assert rows(admin_client, "sale") == sales[::-1]
