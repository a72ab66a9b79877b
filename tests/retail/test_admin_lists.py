"""Lists in the admin: number of queries, pages without a count, filters and order."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from django.utils import timezone

from orders.models import Payment, Sale, SaleItem
from products.models import Product, StockMovement
from retail.models import AuditViolation, Metric, MetricRollup, WorkerHeartbeat
from tests.retail.admin import ROWS, address, every_model, make_metric, no_counting, result

pytestmark = pytest.mark.django_db


def paginator(client: Client, **query: str) -> str:
    """Return the text below the list of metrics."""
    page = client.get(address(Metric, "changelist"), query).content.decode()
    (text,) = re.findall(r'<p class="paginator">(.*?)</p>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


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


@every_model
def test_a_search_says_what_it_searches(admin_client: Client, model: type[models.Model]) -> None:
    page = admin_client.get(address(model, "changelist"))
    help_text = page.context["cl"].search_help_text
    assert ('id="searchbar_helptext"' in page.content.decode()) is bool(help_text)


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
