"""Orders and payments in the admin: searchable, complete and read-only, but for the dispatch."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.roles import create_groups
from orders.models import Payment, Sale, SaleItem
from retail.models import Email
from tests.fuzz.forms import forms_of
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


@pytest.fixture
def support(client: Client) -> Client:
    """Return a client of somebody in the support group."""
    create_permissions(apps.get_app_config("orders"), verbosity=0)
    create_groups()
    user = User.objects.create_user("sue", "sue@example.com", "sue-password-1", is_staff=True)
    user.groups.set([Group.objects.get(name="support")])
    client.force_login(user)
    return client


def paid(user: User, **fields: Any) -> Sale:
    sale = make_sale(user, status="CONFIRMED", **fields)
    sale.payments.update(status="COMPLETED", failure_reason="")
    return sale


def dispatch(client: Client, *sales: Sale, **fields: str) -> tuple[str, list[str]]:
    """Run the action; return the page it leads to, and its messages."""
    chosen = [str(sale.pk) for sale in sales]
    data = {"action": "dispatch_orders", "_selected_action": chosen, **fields}
    response = client.post("/admin/orders/sale/", data, follow=True)
    assert response.status_code == 200
    return response.request["PATH_INFO"], [str(each) for each in response.context["messages"]]


def test_support_dispatches_orders_from_the_list(support: Client) -> None:
    bea, now = make_buyer("bea"), timezone.now()
    first, second = paid(bea), paid(bea)
    sent, cancelled = paid(bea, dispatched_at=now), paid(bea, cancelled_at=now)
    failed = make_sale(bea, status="FAILED")
    page, texts = dispatch(support, first, second, sent, cancelled, failed)
    assert page == "/admin/orders/sale/"
    assert sorted(texts) == sorted(
        [
            f"{sent.reference} was dispatched before.",
            f"{cancelled.reference} was cancelled.",
            f"{failed.reference} is not paid: payment failed.",
            f"Dispatched, and the customer is notified: {first.reference}, {second.reference}.",
        ]
    )
    dispatched = Sale.objects.filter(dispatched_at__gte=now).order_by("pk")
    assert list(dispatched) == [first, second, sent]
    about = Email.objects.filter(kind="order_dispatched").order_by("pk")
    assert list(about.values_list("about", flat=True)) == [first.reference, second.reference]
    entries = LogEntry.objects.order_by("object_id").values_list("object_id", "change_message")
    assert list(entries) == [(str(sale.pk), "Dispatched.") for sale in (first, second)]


def test_the_button_of_an_order_dispatches_it_and_shows_it_again(support: Client) -> None:
    sale = paid(make_buyer())
    page = f"/admin/orders/sale/{sale.pk}/change/"
    [form] = [
        form
        for form in forms_of(support.get(page).content.decode(), "sue", page)
        if form.action == "/admin/orders/sale/"
    ]
    pairs = [(each.name, value) for each in form.inputs for value in each.values]
    response = support.post(form.action, dict(pairs), follow=True)
    assert response.request["PATH_INFO"] == page
    text = response.content.decode()
    assert f"the customer is notified: {sale.reference}." in text
    assert "Dispatch, and notify" not in text  # once is enough
    stored = Sale.objects.get()
    assert stored.dispatched_at is not None
    assert '<div class="readonly">Dispatched</div>' in text


@pytest.mark.parametrize("fields", [{"cancelled_at": timezone.now()}, {"status": "FAILED"}])
def test_an_order_that_is_not_to_be_dispatched_has_no_button(
    support: Client, fields: dict[str, Any]
) -> None:
    sale = make_sale(make_buyer(), **{"status": "CONFIRMED", **fields})
    text = support.get(f"/admin/orders/sale/{sale.pk}/change/").content.decode()
    assert "Dispatch, and notify" not in text
    assert sale.state_label in text


def test_who_may_only_look_does_not_dispatch(client: Client) -> None:
    user = User.objects.create_user("fin", "fin@example.com", "fin-password-1", is_staff=True)
    create_permissions(apps.get_app_config("orders"), verbosity=0)
    create_groups()
    user.groups.set([Group.objects.get(name="finance")])
    client.force_login(user)
    sale = paid(make_buyer())
    for page in ("/admin/orders/sale/", f"/admin/orders/sale/{sale.pk}/change/"):
        assert "ispatch selected" not in client.get(page).content.decode()
        assert "Dispatch, and notify" not in client.get(page).content.decode()
    dispatch(client, sale)
    assert Sale.objects.get().dispatched_at is None
    assert not Email.objects.exists()


def test_orders_are_filtered_by_what_followed(admin_client: Client) -> None:
    bea, now = make_buyer("bea"), timezone.now()
    waiting, sent = paid(bea), paid(bea, dispatched_at=now)
    cancelled, _failed = paid(bea, cancelled_at=now), make_sale(bea, status="FAILED")
    assert rows(admin_client, "sale", dispatch="waiting") == [waiting]
    assert rows(admin_client, "sale", dispatch="done") == [sent]
    assert rows(admin_client, "sale", dispatch="cancelled") == [cancelled]
    assert len(rows(admin_client, "sale", dispatch="other")) == 4
    text = admin_client.get("/admin/orders/sale/").content.decode()
    for label in ("Confirmed", "Dispatched", "Cancelled, money back", "Payment failed"):
        assert f'<td class="field-state">{label}</td>' in text


def test_what_was_refunded_and_a_dispute_are_shown(admin_client: Client) -> None:
    sale = paid(make_buyer())
    since = timezone.now()
    sale.payments.update(refund_reserved=Decimal("12.34"), disputed_at=since)
    payment = sale.payments.get()
    for page in (f"sale/{sale.pk}/change/", "payment/", f"payment/{payment.pk}/change/"):
        assert "12.34" in admin_client.get(f"/admin/orders/{page}").content.decode(), page
    page = admin_client.get(f"/admin/orders/payment/{payment.pk}/change/").content.decode()
    assert "Disputed at:" in page
