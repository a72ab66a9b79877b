"""The numbers match the sales and payments in the database, and known requests."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from cart.models import CartItem
from dashboards.numbers import read_numbers
from dashboards.overview import read_overview
from orders import services
from orders.models import Payment, Sale
from orders.recovery import finish
from payments.gateway import Answer, NoAnswerError
from payments.services import BreakerOpenError, breaker_force
from retail.history import rollups
from retail.history.read import days_range, time_range
from retail.models import Metric
from retail.observability.rows.recorder import recorder
from retail.throttling import ThrottledError, throttle
from tests.dashboards.support import PAGE, RANGES, api_document, cards, values
from tests.orders.state import set_last_read_stock
from tests.retail.conftest import site
from tests.support import (
    ScriptedGateway,
    make_buyer,
    make_product,
    order_for,
    without_the_guard,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from dashboards.measures import Value

__all__ = ["site"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("trusted_proxy"),
]

NO_ANSWER = NoAnswerError("away")
MINUTE = timedelta(minutes=1)


class Shop:
    """Orders of every outcome, placed through the services and then moved into the past."""

    def __init__(self, gateway: ScriptedGateway) -> None:
        self.gateway = gateway
        self.buyer = make_buyer()

    def buy(self, ago: timedelta, *answers: Answer | NoAnswerError, price: str = "10.00") -> Sale:
        """Place an order, so long ago."""
        CartItem.objects.all().delete()  # a failed order leaves its items there
        product = make_product("Lamp", price)
        self.gateway.answers = list(answers)
        sale = services.sale_checkout(order=order_for(self.buyer, product))
        return self.move(sale, ago)

    def flash(self, ago: timedelta) -> Sale:
        """Place a flash-sale order, whose payment is still pending."""
        now = timezone.now()
        product = make_product(
            "Flash",
            flash_price=Decimal("5.00"),
            flash_starts_at=now - timedelta(hours=1),
            flash_ends_at=now + timedelta(hours=1),
        )
        return self.move(services.sale_checkout(order=order_for(self.buyer, product)), ago)

    def cancel(self, sale: Sale) -> None:
        """Let the worker cancel a payment without an answer."""
        self.gateway.cancels = [Answer.CANCELLED]
        finish(Payment.objects.select_related("sale").get(sale=sale))

    @staticmethod
    def move(sale: Sale, ago: timedelta) -> Sale:
        """Move the times of an order back."""
        for row in (sale, sale.payments.get()):
            row.refresh_from_db()
            for field in ("created_at", "sent_at", "finished_at", "settled_at"):
                if getattr(row, field, None):
                    setattr(row, field, getattr(row, field) - ago)
            row.save()
        return sale


@pytest.fixture
def shop(scripted_gateway: ScriptedGateway) -> Shop:
    return Shop(scripted_gateway)


@pytest.fixture
def busy(shop: Shop) -> datetime:
    """Place orders of every outcome, in every range; return the time afterwards."""
    minutes, days = timedelta(minutes=1), timedelta(days=1)
    for ago, price in ((0, "10.00"), (0.5, "19.99"), (3, "0.01"), (10, "7.50"), (40, "120.00")):
        shop.buy(ago * days, Answer.APPROVED, price=price)
    for long_ago in (timedelta(0), 20 * minutes, 9 * days):
        shop.buy(long_ago, Answer.DECLINED)
    shop.buy(timedelta(0), Answer.REJECTED)
    shop.buy(timedelta(0), Answer.APPROVED, price="33.33")
    shop.cancel(shop.buy(5 * minutes, NO_ANSWER))
    shop.buy(timedelta(0), Answer.APPROVED)
    shop.buy(2 * minutes, NO_ANSWER)  # not yet counted as failed
    shop.buy(16 * minutes, NO_ANSWER)
    shop.flash(timedelta(0))
    shop.flash(30 * minutes)
    recorder.flush()
    return timezone.now()


def _expected(since: datetime, until: datetime, now: datetime) -> dict[str, Any]:
    """Compute the numbers directly from the tables."""
    sales = Sale.objects.filter(status="CONFIRMED", finished_at__gte=since, finished_at__lt=until)
    settled = Payment.objects.filter(settled_at__gte=since, settled_at__lt=until)
    ended = Counter(settled.values_list("status", flat=True))
    overdue = Payment.objects.filter(
        status__in=["UNKNOWN", "PENDING"],
        created_at__gte=since,
        created_at__lt=min(until, now - timedelta(minutes=15)),
    ).count()
    whole = ended["COMPLETED"] + ended["FAILED"] + overdue
    reasons = Counter(settled.filter(status="FAILED").values_list("failure_reason", flat=True))
    numbers = {
        "orders": sales.count(),
        "revenue": str(sum((sale.total for sale in sales), Decimal("0.00"))),
        "payments_completed": ended["COMPLETED"],
        "payments_failed": ended["FAILED"],
        **{f"payments_{reason}": reasons[reason] for reason in reasons},
        "payments_overdue": overdue,
        "payment_success": 100 * ended["COMPLETED"] / whole if whole else None,
    }
    return {key: value for key, value in numbers.items() if value not in {None, 0, "0.00"}}


def total(each: list[Value]) -> Decimal:
    """Return the sum of the values that are not None."""
    return sum((Decimal(str(value)) for value in each if value is not None), Decimal(0))


MONEY_KEYS = (
    *("orders", "revenue", "payments_completed", "payments_failed", "payments_declined"),
    *("payments_cancelled", "payments_rejected", "payments_overdue", "payment_success"),
)


@pytest.mark.parametrize("rolled_up", [False, True])
@pytest.mark.parametrize("days", [1, 7, 30, 90])
def test_numbers_match_sales_and_payments(
    busy: datetime, admin_client: Client, rolled_up: bool, days: int
) -> None:
    if not rolled_up:
        # Events older than what is read live are missing until the worker rolls them up.
        Sale.objects.filter(finished_at__lt=busy - timedelta(hours=5)).update(finished_at=busy)
        Payment.objects.filter(settled_at__lt=busy - timedelta(hours=5)).update(settled_at=busy)
        busy += timedelta(seconds=1)
    else:
        rollups.roll_up(busy)
    numbers = read_numbers(days_range(days, busy), busy)
    span = numbers.span
    by_key = {key: numbers.value(key) for key in MONEY_KEYS}
    not_zero = {
        key: str(value) if isinstance(value, Decimal) else value
        for key, value in by_key.items()
        if value
    }
    assert not_zero == _expected(span.since, busy, busy)
    before = {key: numbers.value_before(key) for key in ("orders", "payments_failed")}
    expected = _expected(span.before.since, span.before.until, busy)
    if rolled_up:
        assert before == {key: expected.get(key, 0) for key in before}
    assert (numbers.pending, numbers.unknown) == (1, 3)
    for key in ("orders", "revenue", "payments_failed", "payments_overdue"):
        assert total(numbers.each(key)) == numbers.value(key), key
    in_days = _expected(numbers.days[0][0], busy, busy)
    assert total(numbers.each("orders", daily=True)) == in_days.get("orders", 0)


def test_expectations_are_not_empty(busy: datetime) -> None:
    assert _expected(busy - timedelta(days=7), busy, busy) == {
        "orders": 5,
        "revenue": "73.33",
        "payments_completed": 5,
        "payments_failed": 4,
        "payments_declined": 2,
        "payments_cancelled": 1,
        "payments_rejected": 1,
        "payments_overdue": 2,
        "payment_success": 100 * 5 / 11,
    }


def test_page_api_and_csv_agree(
    busy: datetime, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollups.roll_up(busy)
    monkeypatch.setattr("dashboards.views.timezone.now", lambda: busy)
    expected = _expected(days_range(7, busy).since, busy, busy)
    document = api_document(admin_client)
    of_money = {key: value for key, value in values(document).items() if key in MONEY_KEYS}
    assert of_money == expected
    texts = cards(admin_client, "7d")
    assert texts["Orders"].startswith("calm: no limit 5 ")
    assert texts["Revenue"].startswith("calm: no limit €73.33 ")
    assert texts["Payment success"].startswith("calm: too little data 45.45 % ")
    assert "5 of 11 payments Limit: at least 95 %" in texts["Payment success"]
    page = admin_client.get(PAGE, {"range": "7d"}).content.decode()
    assert "Failed: card declined</th>" in page
    lines = list(csv.DictReader(StringIO(_csv(admin_client, "7d"))))
    assert len(lines) == 168
    assert sum(int(line["orders (orders)"]) for line in lines) == 5
    assert str(sum(Decimal(line["revenue (EUR)"]) for line in lines)) == "73.33"
    assert [line["start (UTC)"] for line in lines] == document["series"]["starts"]
    for key, series in document["series"].items():
        if key != "starts":
            column = [line[f"{key} ({series['unit']})"] for line in lines]
            expected_column = ["" if value is None else str(value) for value in series["values"]]
            assert column == expected_column, key


def _csv(client: Client, name: str) -> str:
    response = client.get(f"{PAGE}csv/", {"range": name})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="vitrine-{name}-' in response["Content-Disposition"]
    return response.content.decode()


# 20 requests: path and duration in milliseconds.
SCRIPT = (
    *[("/id/", 8)] * 10,
    *[("/id/", 40)] * 4,
    *[("/nowhere/", 40)] * 3,
    *[("/fail/", 40)] * 2,
    ("/id/", 400),
)
SERVED = {
    "requests": 20,
    "errors": 2,
    "client_errors": 3,
    "error_rate": 10.0,
    "client_error_rate": 15.0,
    "response_avg": pytest.approx(42.0),
    # The 10th request is the last of ten between 5 and 10 ms, the 19th the last of nine between 25
    # and 50 ms. The 20th is between 250 and 500 ms, and the maximum is 400 ms.
    "response_p50": pytest.approx(10.0),
    "response_p95": pytest.approx(50.0),
    "response_p99": pytest.approx(400.0),
}


@pytest.fixture
def served(site: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Serve the script's requests, each with exactly its duration."""
    clock: Iterator[float] = chain.from_iterable((0.0, took / 1000) for _, took in SCRIPT)
    with monkeypatch.context() as patched:
        patched.setattr("retail.observability.middleware.perf_counter", lambda: next(clock))
        for path, _ in SCRIPT:
            site.get(path)
    recorder.flush()
    return site


def test_known_requests_give_known_numbers(served: Client, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token"
    document = api_document(served, authorization="Bearer a-token")
    assert values(document) == SERVED
    states = {key: document["numbers"][key]["state"] for key in ("error_rate", "response_p95")}
    assert states == {"error_rate": "bad", "response_p95": "good"}


def test_viewing_the_numbers_changes_none(served: Client, admin_client: Client) -> None:
    for path in (PAGE, f"{PAGE}news/", f"{PAGE}csv/", "/metrics/api/"):
        assert admin_client.get(path).status_code == 200
    recorder.flush()
    assert values(api_document(admin_client)) == SERVED


@pytest.mark.parametrize("name", RANGES)
def test_the_latest_errors_are_listed(served: Client, name: str) -> None:
    served.get("/fail/", headers={"X-Request-ID": "the-latest"})
    recorder.flush()
    errors = read_overview(name, timezone.now()).errors
    assert [(error.view, error.status) for error in errors] == [("fail", 500)] * 3
    assert errors[0].request_id == "the-latest"
    assert timezone.now() - errors[0].at < timedelta(minutes=1)
    assert len({error.request_id for error in errors}) == 3


def test_only_the_latest_errors_of_an_interval_are_listed(site: Client) -> None:
    for number in range(25):
        site.get("/fail/", headers={"X-Request-ID": f"request-{number}"})
    recorder.flush()
    (row,) = Metric.objects.filter(metric_type="error_rate")
    assert len(row.metadata["recent"]) == 20
    overview = read_overview("1h", timezone.now())
    assert overview.numbers.value("errors") == 25
    assert [error.request_id for error in overview.errors] == [
        f"request-{number}" for number in range(24, 4, -1)
    ]


def test_rejections_are_counted_by_kind(
    shop: Shop, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock stands still, so that no window ends.
    monkeypatch.setattr("retail.throttling.time", SimpleNamespace(time=lambda: 999.5))
    for scope, rejected in (("checkout", 3), ("login", 2)):
        for _ in range(2):
            throttle(scope, ["somebody"], limit=2, seconds=86400, user_id=None)
        for _ in range(rejected):
            with pytest.raises(ThrottledError):
                throttle(scope, ["somebody"], limit=2, seconds=86400, user_id=None)
    lamp = make_product("Lamp", stock=1)
    order = order_for(shop.buyer, lamp, 2)
    set_last_read_stock(order, 2)
    with monkeypatch.context() as patched:
        without_the_guard(patched)
        with pytest.raises(services.StockConflictError):
            services.sale_checkout(order=order)
    breaker_force(state="open", reason="a test", minutes=5, by="a-test", user_id=None)
    CartItem.objects.all().delete()
    order = order_for(shop.buyer, make_product("Teapot"))
    with pytest.raises(BreakerOpenError):
        services.sale_checkout(order=order)
    recorder.flush()
    numbers = values(api_document(admin_client))
    expected = {"throttled": 5, "throttled_checkout": 3, "throttled_login": 2, "stock_conflicts": 1}
    assert {key: numbers.get(key) for key in expected} == expected
    assert (numbers["held_back"], numbers["breaker_openings"]) == (1, 1)
    assert "checkouts_refused" not in numbers  # no buyer was refused by a page
    texts = cards(admin_client)
    assert texts["Throttled"].startswith("calm: no limit 5 ")
    assert texts["Throttled"].endswith("3 checkout · 2 login")
    assert texts["Stock conflicts"].startswith("bad: bug 1 ")


def test_an_overdue_payment_counts_in_the_range_in_which_it_was_created(
    shop: Shop, settings: Any
) -> None:
    settings.BREAKER_FAIL_MAX = 100
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    span = time_range("1h", now)
    assert (span.since, span.before.until) == (now - 59 * MINUTE,) * 2
    # One too early, two in the range before, three in the range.
    for minutes in (119, 118, 60, 59, 30, 16):
        sale = shop.buy(timedelta(0), NO_ANSWER)
        sale.payments.update(created_at=now - minutes * MINUTE)
    numbers = read_numbers(span, now)
    assert (numbers.value("payments_overdue"), numbers.value_before("payments_overdue")) == (3, 2)
    assert (numbers.value("payment_success"), numbers.value_before("payment_success")) == (0, 0)


def test_days_are_in_utc(shop: Shop) -> None:
    now = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
    for minutes in (20, 40, 45):
        sale = shop.buy(timedelta(0), Answer.APPROVED)
        Sale.objects.filter(pk=sale.pk).update(finished_at=now - timedelta(minutes=minutes))
    numbers = read_numbers(time_range("24h", now), now)
    days = {
        f"{day:%m-%d}": orders
        for (day, _), orders in zip(numbers.days, numbers.each("orders", daily=True), strict=True)
    }
    assert days == {
        **dict.fromkeys(("02-24", "02-25", "02-26", "02-27", "02-28"), 0),
        "03-01": 2,
        "03-02": 1,
    }
