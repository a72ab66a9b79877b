"""Every admin page: permissions, number of queries, and refused changes."""

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, models
from django.test import Client
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
from payments.models import CircuitBreaker
from products.models import Category, Product, StockMovement
from retail.models import (
    AuditCheck,
    AuditViolation,
    Email,
    Metric,
    MetricRollup,
    WorkerHeartbeat,
)
from tests.support import make_buyer, make_product

pytestmark = pytest.mark.django_db

INLINE = re.compile(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:")
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


def make_access(model: type[models.Model], number: int, **fields: object) -> models.Model:
    return model._default_manager.create(
        username=f"u{number}", ip_address="127.0.0.1", user_agent="x", path_info="/", **fields
    )


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
    Email: lambda n: Email.objects.create(kind="note", about=str(n)),
    Schedule: lambda n: Schedule.objects.create(name=f"schedule{n}", func="math.floor"),
    Success: lambda n: make_task(n, success=True),
    Failure: lambda n: make_task(n, success=False),
    OrmQ: lambda n: async_task("math.floor", n, broker=get_broker()),
    AccessAttempt: lambda n: make_access(AccessAttempt, n, failures_since_start=1),
    AccessFailureLog: lambda n: make_access(AccessFailureLog, n),
    AccessLog: lambda n: make_access(AccessLog, n),
}
# Models that staff may change; only the shop writes the others.
WRITTEN_BY_STAFF = {User, Group, UserProfile, Category, Product}
READ_ONLY = {
    *(Sale, SaleItem, Payment, StockMovement, Cart, CartItem, CircuitBreaker),
    *(Metric, MetricRollup, WorkerHeartbeat, Schedule, Alert, LostAlerts),
    *(AuditCheck, AuditViolation, Email),
}
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
every_model = pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label)
READ_ONLY_MODELS = [model for model in REGISTERED if model in READ_ONLY]
every_read_only = pytest.mark.parametrize(
    "model", READ_ONLY_MODELS, ids=lambda model: model._meta.label
)


def address(model: type[models.Model], page: str, *arguments: object) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=arguments)


def pages(model: type[models.Model]) -> dict[str, str]:
    """Create a row and return the addresses of its model's pages."""
    ROWS[model](0)
    row = model._default_manager.order_by("-pk").first()
    assert row is not None
    return {
        "list": address(model, "changelist"),
        "add": address(model, "add"),
        "change": address(model, "change", row.pk),
        "delete": address(model, "delete", row.pk),
    }


def everything(model: type[models.Model]) -> list[dict[str, Any]]:
    return list(model._default_manager.order_by("pk").values())


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


def paginator(client: Client, **query: str) -> str:
    """Return the text below the list of metrics."""
    page = client.get(address(Metric, "changelist"), query).content.decode()
    (text,) = re.findall(r'<p class="paginator">(.*?)</p>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_every_registered_model_is_tested_here() -> None:
    assert set(REGISTERED) == set(ROWS)


@every_model
def test_a_superuser_sees_every_page_and_none_needs_inline_code(
    admin_client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    addable = 200 if model in WRITTEN_BY_STAFF else 403
    for page, status in (("list", 200), ("add", addable), ("change", 200)):
        response = admin_client.get(addresses[page])
        assert response.status_code == status, page
        assert "script-src 'self';" in response.headers["Content-Security-Policy"] + ";"
        if status == 200:
            assert INLINE.findall(response.content.decode()) == [], page


@every_model
def test_visitors_and_customers_are_sent_to_the_login(
    client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    for page in addresses.values():
        response = client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")
    client.force_login(make_buyer("customer"))
    for page in addresses.values():
        response = client.get(page)
        assert (response.status_code, response["Location"]) == (302, f"/admin/login/?next={page}")


@every_model
def test_staff_without_permission_see_nothing(client: Client, model: type[models.Model]) -> None:
    addresses = pages(model)
    staff = make_buyer("staff")
    staff.is_staff = True
    staff.save()
    client.force_login(staff)
    assert {client.get(page).status_code for page in addresses.values()} == {403}


@every_model
def test_view_permission_allows_nothing_else(client: Client, model: type[models.Model]) -> None:
    addresses = pages(model)
    staff = make_buyer("staff")
    staff.is_staff = True
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    client.force_login(staff)
    before = everything(model)
    statuses = {page: client.get(where).status_code for page, where in addresses.items()}
    assert statuses == {"list": 200, "add": 403, "change": 200, "delete": 403}
    for page in ("add", "change", "delete"):
        assert client.post(addresses[page], {"post": "yes"}).status_code == 403
    assert everything(model) == before


@every_read_only
def test_rows_written_by_the_shop_cannot_be_changed(
    admin_client: Client, model: type[models.Model]
) -> None:
    addresses = pages(model)
    before = everything(model)
    row = before[-1]
    form = {name: str(value) for name, value in row.items()}
    for page in ("add", "change", "delete"):
        response = admin_client.post(addresses[page], {**form, "post": "yes"})
        assert response.status_code == 403, page
    assert admin_client.get(addresses["delete"]).status_code == 403
    key = model._meta.pk.attname
    action = {"action": "delete_selected", "_selected_action": row[key], "post": "yes"}
    admin_client.post(addresses["list"], action)
    assert everything(model) == before


@every_model
def test_a_list_of_many_takes_no_more_queries_than_a_list_of_one(
    admin_client: Client, model: type[models.Model]
) -> None:
    where = address(model, "changelist")
    taken = []
    for numbers in (range(1), range(1, 100)):
        for number in numbers:
            ROWS[model](number)
        admin_client.get(where)  # content types are read once
        with no_counting() as queries:
            shown = admin_client.get(where).context["cl"].result_list
        taken.append((len(shown) >= len(numbers), len(queries)))
    assert taken == [(True, taken[0][1])] * 2


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Metric, {"type": "error_rate", "last": "hour"}),
        (MetricRollup, {"type": "error_rate", "period__exact": "hour", "last": "week"}),
        (Sale, {"q": "buyer", "status__exact": "PENDING", "kind__exact": "cart", "last": "day"}),
        (SaleItem, {"q": "buyer"}),
        (Payment, {"q": "buyer", "status__exact": "PENDING", "failure_reason__exact": ""}),
        (StockMovement, {"q": "Lamp", "reason__exact": "seed", "_facets": "1"}),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value.__name__,
)
def test_filtered_lists_are_not_counted(
    admin_client: Client, model: type[models.Model], query: dict[str, str]
) -> None:
    for number in range(101):
        ROWS[model](number)
    Sale.objects.update(user=User.objects.order_by("pk").last())
    StockMovement.objects.update(product=Product.objects.order_by("pk").first())
    with no_counting():
        assert len(result(admin_client, model, **query)) == 100
    with no_counting():
        assert len(result(admin_client, model, **query, p="2")) == 1


def test_the_check_against_counting_detects_it() -> None:
    with pytest.raises(AssertionError), no_counting():
        Metric.objects.count()


def test_pages_have_links_to_the_next_without_a_count(admin_client: Client) -> None:
    for number in range(250):
        make_metric(number)
    values = {
        page: [metric.value for metric in result(admin_client, Metric, p=page)] for page in "123"
    }
    assert values == {"1": [*range(100)], "2": [*range(100, 200)], "3": [*range(200, 250)]}
    assert paginator(admin_client) == "1 Next more than 100 metrics"
    assert paginator(admin_client, p="2") == "Previous 2 Next more than 200 metrics"
    assert paginator(admin_client, p="3") == "Previous 3 250 metrics"
    page = admin_client.get(address(Metric, "changelist"), {"p": "2", "last": "day"})
    assert re.findall(r'rel="(prev|next)" href="([^"]+)"', page.content.decode()) == [
        ("prev", "?p=1&amp;last=day"),
        ("next", "?p=3&amp;last=day"),
    ]


@pytest.mark.parametrize("page", ["4", "0", "-1", "100001", "9" * 30])
def test_a_page_that_does_not_exist_redirects(admin_client: Client, page: str) -> None:
    for number in range(250):
        make_metric(number)
    response = admin_client.get(address(Metric, "changelist"), {"p": page})
    assert (response.status_code, response["Location"]) == (302, "/admin/retail/metric/?e=1")


@pytest.mark.parametrize("page", ["x", "²", "9" * 5000])
def test_an_invalid_page_number_shows_the_first_page(admin_client: Client, page: str) -> None:
    for number in range(101):
        make_metric(number)
    assert paginator(admin_client, p=page) == "1 Next more than 100 metrics"


@pytest.mark.parametrize("page", ["1", "2", "7"])
@pytest.mark.parametrize(
    ("rows", "text"), [(0, "0 metrics"), (1, "1 metric"), (99, "99 metrics"), (100, "100 metrics")]
)
def test_a_single_page_shows_the_number_of_rows(
    admin_client: Client, rows: int, text: str, page: str
) -> None:
    for number in range(rows):
        make_metric(number)
    assert paginator(admin_client, p=page) == text
    assert len(result(admin_client, Metric, p=page)) == rows


def test_all_rows_cannot_be_shown_at_once(admin_client: Client) -> None:
    for number in range(101):
        make_metric(number)
    assert len(result(admin_client, Metric, all="")) == 100


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (Metric, "timestamp"),
        (MetricRollup, "start"),
        (WorkerHeartbeat, "seen_at"),
        (Sale, "created_at"),
        (Payment, "created_at"),
        (StockMovement, "created_at"),
    ],
)
def test_lists_are_filtered_by_time_and_start_with_the_newest(
    admin_client: Client, model: type[models.Model], field: str
) -> None:
    hours = [169, 167, 24.1, 23.9, 1.1, 0.9]
    now = timezone.now()
    for number in range(len(hours)):
        ROWS[model](number)
    for row, ago in zip(model._default_manager.order_by("pk"), hours, strict=True):
        model._default_manager.filter(pk=row.pk).update(**{field: now - timedelta(hours=ago)})
    shown = {}
    for span in ("", "hour", "day", "week", "nonsense"):
        rows = result(admin_client, model, **({"last": span} if span else {}))
        shown[span] = [round((now - getattr(row, field)).total_seconds() / 3600, 1) for row in rows]
    assert shown == {
        "": sorted(hours),
        "hour": [0.9],
        "day": [0.9, 1.1, 23.9],
        "week": [0.9, 1.1, 23.9, 24.1, 167],
        "nonsense": sorted(hours),
    }


@pytest.mark.parametrize("model", [Metric, MetricRollup])
def test_metrics_are_filtered_by_type(admin_client: Client, model: type[models.Model]) -> None:
    for number in range(3):
        ROWS[model](number)
    other = model._default_manager.order_by("pk").first()
    assert other is not None
    model._default_manager.filter(pk=other.pk).update(metric_type="stock_conflicts")
    assert result(admin_client, model, type="stock_conflicts") == [other]
    assert len(result(admin_client, model, type="error_rate")) == 2
    assert len(result(admin_client, model)) == 3


def test_open_violations_come_first_newest_first(
    admin_client: Client,
) -> None:
    now = timezone.now()
    ended = {2: now - timedelta(hours=1), 4: now}
    for number in range(1, 6):
        AuditViolation.objects.create(
            invariant="pending_within_deadline" if number == 1 else "ledger_equals_stock",
            subject=str(number),
            found_at=now - timedelta(hours=30 if number == 3 else 2),
            resolved_at=ended.get(number),
        )

    def shown(**query: str) -> list[str]:
        return [row.subject for row in result(admin_client, AuditViolation, **query)]

    assert shown() == ["5", "3", "1", "4", "2"]
    assert shown(invariant="pending_within_deadline") == ["1"]
    assert shown(last="day") == ["5", "1", "4", "2"]


def test_audit_progress_is_shown_without_checkpoints(admin_client: Client) -> None:
    sums = {"through": 7, "sums": {"4711": 3}}
    AuditCheck.objects.create(invariant="ledger_equals_stock", checkpoint=sums, violations=17)
    where = address(AuditCheck, "change", "ledger_equals_stock")
    page = admin_client.get(where).content.decode()
    assert "17" in page
    assert "4711" not in page


def test_the_index_shows_the_shop_and_its_groups(admin_client: Client) -> None:
    response = admin_client.get("/admin/")
    text = response.content.decode()
    assert '<a href="/admin/">Vitrine</a>' in text
    assert "<title>Site administration | Vitrine</title>" in text
    shown = {
        app["name"]: {model["object_name"] for model in app["models"]}
        for app in response.context["app_list"]
    }
    assert shown["Authentication and Authorization"] == {"User", "Group"}
    assert shown["Accounts"] == {"UserProfile"}
    assert shown["Products"] == {"Category", "Product", "StockMovement"}
    assert shown["Orders"] == {"Sale", "SaleItem", "Payment"}
    assert shown["Retail (Observability)"] == {
        *("Metric", "MetricRollup", "WorkerHeartbeat", "AuditCheck", "AuditViolation"),
        "Email",
    }
    assert settings.SHOP_NAME == "Vitrine"
