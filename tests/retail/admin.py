"""A row of every model in the admin, and the pages that show it."""

from __future__ import annotations

import re
import uuid
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.tasks import async_task

from accounts.models import UserProfile
from cart.models import Cart, CartItem
from oncall.models import Alert, LostAlerts
from orders.models import Payment, Sale, SaleItem
from partner_feeds.models import Ingestion, Partner, RejectedRow
from payments.models import CircuitBreaker
from products.models import Category, HeldStock, Product, StockMovement
from retail.models import (
    AuditCheck,
    AuditViolation,
    Email,
    Metric,
    MetricRollup,
    SecurityEvent,
    WorkerHeartbeat,
)
from returns.models import Refund, Return
from tests.returns.rows import make_paid, make_refund, make_return
from tests.support import make_buyer, make_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.test import Client

BIG = ("orders_sale", "orders_saleitem", "orders_payment", "retail_metric")
COUNT = re.compile(rf'COUNT\(.*"({"|".join((*BIG, "products_stockmovement"))})"')


def make_sale(number: int) -> Sale:
    return Sale.objects.create(
        user=make_buyer(f"buyer{number}"),
        total=10,
        currency="EUR",
        idempotency_key=uuid.uuid4(),
        delivery_name="Bea Buyer",
        delivery_address="1 Example Street",
    )


def make_item(number: int) -> SaleItem:
    product = make_product(f"Lamp {number}")
    return SaleItem.objects.create(
        sale=make_sale(number), product=product, product_name="Lamp", unit_price=10, quantity=1
    )


def make_payment(number: int) -> Payment:
    return Payment.objects.create(
        sale=make_sale(number), token="tok_good", amount=10, currency="EUR", due_at=timezone.now()
    )


def make_cart(number: int) -> Cart:
    return Cart.objects.create(user=make_buyer(f"buyer{number}"))


def make_task(number: int, success: bool) -> Task:
    now = timezone.now()
    return Task.objects.create(
        id=uuid.uuid4().hex, name=f"t{number}", func="f", started=now, stopped=now, success=success
    )


def make_rollup(number: int) -> MetricRollup:
    start = timezone.now() - timedelta(hours=number)
    return MetricRollup.objects.create(
        metric_type="error_rate", period="hour", start=start, count=1, total=1, minimum=1, maximum=1
    )


def make_metric(number: int) -> Metric:
    when = timezone.now() - timedelta(seconds=number)
    return Metric.objects.create(metric_type="error_rate", value=number, timestamp=when)


def make_partner(n: int) -> Partner:
    category = Category.objects.create(name=f"p{n}", slug=f"p{n}")
    return Partner.objects.create(name=f"Partner {n}", slug=f"partner{n}", category=category)


ROWS: dict[type[models.Model], Callable[[int], object]] = {
    User: lambda n: make_buyer(f"user{n}"),
    Group: lambda n: Group.objects.create(name=f"group{n}"),
    UserProfile: lambda n: UserProfile.objects.create(user=make_buyer(f"user{n}")),
    Category: lambda n: Category.objects.create(name=f"c{n}", slug=f"c{n}"),
    Product: lambda n: make_product(f"Lamp {n}"),
    StockMovement: lambda n: make_product(f"Lamp {n}"),
    Sale: make_sale,
    SaleItem: make_item,
    Payment: make_payment,
    HeldStock: lambda n: HeldStock.objects.create(
        product=make_product(f"Lamp {n}"), quantity=1, reason="return", reference=f"RT-{n}"
    ),
    Return: lambda n: make_return(make_paid(make_buyer(f"buyer{n}"))),
    Refund: lambda n: make_refund(make_paid(make_buyer(f"buyer{n}"))),
    Cart: make_cart,
    CartItem: lambda n: CartItem.objects.create(
        cart=make_cart(n), product=make_product(f"Lamp {n}"), quantity=1
    ),
    CircuitBreaker: lambda n: CircuitBreaker.objects.create(name=f"gateway{n}"),
    Metric: make_metric,
    MetricRollup: make_rollup,
    WorkerHeartbeat: lambda n: WorkerHeartbeat.objects.create(
        worker=f"worker{n}", seen_at=timezone.now()
    ),
    AuditCheck: lambda n: AuditCheck.objects.create(invariant=f"invariant{n}"),
    AuditViolation: lambda n: AuditViolation.objects.create(
        invariant="ledger_equals_stock", subject=str(n), found_at=timezone.now()
    ),
    Alert: lambda n: Alert.objects.create(
        **dict.fromkeys(("fingerprint", "name"), f"Retail{n}"),
        **dict.fromkeys(("starts_at", "received_at", "updated_at"), timezone.now()),
        status="firing",
        origin="prometheus",
    ),
    LostAlerts: lambda n: LostAlerts.objects.create(
        reason="cut", count=n + 1, at=timezone.now(), detail="x"
    ),
    Partner: make_partner,
    Ingestion: lambda n: Ingestion.objects.create(partner=make_partner(n)),
    RejectedRow: lambda n: RejectedRow.objects.create(
        ingestion=Ingestion.objects.create(partner=make_partner(n)), line=n, sentence="No key."
    ),
    Email: lambda n: Email.objects.create(kind="note", about=str(n)),
    SecurityEvent: lambda n: SecurityEvent.objects.create(
        event="log_in", outcome="failed", user_id=n
    ),
    Schedule: lambda n: Schedule.objects.create(name=f"schedule{n}", func="math.floor"),
    Success: lambda n: make_task(n, success=True),
    Failure: lambda n: make_task(n, success=False),
    OrmQ: lambda n: async_task("math.floor", n, broker=get_broker()),
}
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
every_model = pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)


def address(model: type[models.Model], page: str, *arguments: object) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=arguments)


@contextmanager
def no_counting() -> Iterator[CaptureQueriesContext]:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        yield queries
    assert queries.captured_queries
    assert [query["sql"] for query in queries if COUNT.search(query["sql"])] == []


def result(client: Client, model: type[models.Model], **query: str) -> list[Any]:
    """Return the rows that a list shows."""
    response = client.get(address(model, "changelist"), query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)
