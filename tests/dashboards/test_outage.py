"""An outage on the dashboard and the alerts page: what, since when, how many buyers, what next."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone

from cart.models import CartItem
from cart.selectors import cart_lines, fingerprint
from orders.metrics import PAYMENTS_UNKNOWN, PAYMENTS_UNKNOWN_OLDEST, read_unknown
from orders.models import Payment, Sale
from orders.recovery import settle_due
from payments import breaker
from payments.models import CircuitBreaker
from quality.scenario import Verdict
from retail.history.refused import refused_since
from retail.models import AuditViolation, Metric, WorkerHeartbeat
from retail.observability.rows.recorder import recorder
from tests.dashboards.support import PAGE, api_document, cards, checks, plain
from tests.oncall.support import alert, at, receive
from tests.quality.support import NOON as TEST_NOON
from tests.quality.support import evaluated, measure, numbers, order, orders
from tests.support import make_buyer, make_product, order_for

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django import Settings

    from tests.support import ScriptedGateway

pytestmark = pytest.mark.django_db

ALERTS = "/metrics/alerts/"


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set all clocks to noon."""
    monkeypatch.setattr(timezone, "now", lambda: TEST_NOON)


def incident(client: Client, name: str = "24h") -> dict[str, str]:
    """Return the parts of the dashboard's incident; {} if there is none."""
    page = client.get(PAGE, {"range": name}).content.decode()
    block = page.partition('<div class="incident"')[2].partition("</dl>")[0]
    parts = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", block, flags=re.DOTALL)
    title = re.findall(r"<h3.*?>(.*?)</h3>", block)
    texts = {key: plain(text).replace(" ,", ",") for key, text in parts}
    what = plain(block.partition("<p>")[2].partition("</p>")[0])
    return {"title": plain(title[0]), "What": what, **texts} if title else {}


def found(client: Client) -> str:
    """Return the text of the shop's own findings on the alerts page."""
    page = client.get(ALERTS).content.decode()
    return plain(page.partition('id="found-title">')[2].partition("</section>")[0])


def try_to_buy(buyer: User, times: int) -> None:
    """Submit the checkout's form so many times."""
    client = Client()
    client.force_login(buyer)
    for _ in range(times):
        lines = cart_lines(CartItem.objects.filter(cart__user=buyer))
        form = {
            "delivery_name": "B",
            "delivery_address": "1 Street",
            "payment_token": "tok_good",
            "idempotency_key": str(uuid.uuid4()),
            "lines_shown": fingerprint(lines),
        }
        assert client.post("/checkout/", form).status_code == 503


def open_the_breaker() -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)


@pytest.mark.django_db(transaction=True)
def test_buyers_refused_are_counted_apart_from_the_workers_retries(
    staff: Client, scripted_gateway: ScriptedGateway, settings: Settings
) -> None:
    settings.BREAKER_RESET_SECONDS = 3600
    lamp = make_product("Lamp", "10.00", 50)
    buyers = [make_buyer(f"buyer-{number}") for number in range(3)]
    for buyer in buyers:
        order_for(buyer, lamp)
    order(5, status="PENDING")
    Payment.objects.update(due_at=timezone.now(), created_at=timezone.now())
    recorder.flush()
    Metric.objects.all().delete()  # what earlier tests left
    open_the_breaker()
    for buyer, times in zip(buyers, (3, 1, 1), strict=True):
        try_to_buy(buyer, times)
    for _ in range(7):
        Payment.objects.update(due_at=timezone.now())
        assert settle_due() == 1
    recorder.flush()
    document = api_document(staff, 1)["numbers"]
    assert document["checkouts_refused"]["value"] == 5
    assert document["held_back"]["value"] == 5 + 7
    assert document["breaker_openings"]["value"] == 1
    outage = incident(staff)
    assert outage["title"] == "Circuit breaker: open"
    assert outage["Affected"] == "3 buyers refused, in 5 checkouts"
    assert outage["Since"].endswith("UTC, less than a minute ago")
    assert outage["Next step"].startswith("Check the payment gateway")
    assert "3 buyers refused, in 5 checkouts" in found(staff)


def test_only_this_outages_refusals_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes, row in (
        (9, {"fast_fails": 9, "buyers": ["9"], "count": 9}),
        (3, {"fast_fails": 2, "buyers": ["1", "2"], "count": 2}),
        (2, {"fast_fails": 4, "buyers": ["2", "3"], "count": 4}),
        (1, {"fast_fails": 1, "buyers": "odd", "count": 1}),
        (1, {"attempts": {"open": 70}, "count": 70}),
    ):
        Metric.objects.create(
            metric_type="circuit_breaker_state", value=2, metadata=row, timestamp=at(-minutes)
        )
    assert refused_since(at(-5)) == (7, 3, False)
    monkeypatch.setattr("retail.history.refused.ROWS", 2)
    assert refused_since(at(-5)) == (5, 2, True)


@pytest.mark.usefixtures("noon")
def test_a_failed_probe_does_not_interrupt_the_outage(staff: Client) -> None:
    began = TEST_NOON - timedelta(minutes=8)
    row: dict[str, Any] = {"name": "payments", "failures": 90, "open_since": began}
    for state in ("open", "half_open"):
        CircuitBreaker.objects.update_or_create(
            name="payments", defaults={**row, "state": state, "opened_at": TEST_NOON}
        )
        outage = incident(staff)
        assert outage["Since"] == "2 Mar, 11:52 UTC, 8 min ago"
        assert checks(staff)["Circuit breaker"].startswith("bad:")


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("name", ["1h", "24h", "90d"])
def test_errors_are_an_incident_whatever_the_range(staff: Client, name: str) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON)
    for minutes, count, errors in (
        (600, 9_000, 0),
        (8, 40, 0),
        (3, 10, 9),
        (1, 12, 12),
        (0.2, 9, 9),
    ):
        Metric.objects.create(
            metric_type="error_rate",
            value=100 * errors / count,
            metadata={"count": count, "errors": errors, "client_errors": 0},
            timestamp=TEST_NOON - timedelta(minutes=minutes),
        )
    outage = incident(staff, name)
    assert outage["title"] == "Sales now: requests fail"
    assert outage["Since"] == "2 Mar, 11:57 UTC, 3 min ago"
    assert outage["Affected"] == "30 requests failed"
    assert "find its lines in logs/application.log" in outage["Next step"]


@pytest.mark.usefixtures("noon")
def test_declined_cards_are_an_incident_with_their_buyers(staff: Client) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON)
    orders(30, 20)
    orders(11, 0.2, status="FAILED")
    assert incident(staff) == {}  # too few to evaluate
    orders(9, 0.2, status="FAILED")
    Sale.objects.filter(status="FAILED").exclude(
        pk=Sale.objects.filter(status="FAILED").latest("pk").pk
    ).update(user=make_buyer("another"))
    outage = incident(staff)
    assert outage["title"] == "Sales now: payments fail"
    assert outage["What"] == "Only 0 % of the latest payments succeed."
    assert outage["Affected"] == "2 buyers could not pay"
    assert outage["Since"] == "2 Mar, 11:58 UTC, 2 min ago"


@pytest.mark.usefixtures("noon")
def test_stuck_payments_count_like_unknown_ones_everywhere(staff: Client) -> None:
    """The worker stopped three hours ago, with flash-sale orders to charge."""
    orders(40, 60)
    Sale.objects.update(user=make_buyer("paid"))
    orders(13, 180, kind="flash", status="PENDING")
    oldest = 180 * 60 + 2 * 60  # thirteen orders, ten seconds apart

    result = evaluated("A2")
    assert result.verdict == Verdict.FAIL
    assert numbers(result)["Payments completed"] == (100 * 40 / 53, False)
    assert measure(result, "Payments completed").note == (
        "40 of 53 payments, 13 overdue; not counted: 0 pending, 0 unknown"
    )
    assert cards(staff)["Payment success"].startswith("bad: too low 75.47 %")
    document = api_document(staff, 1)
    assert document["numbers"]["payments_overdue"]["value"] == 13
    assert document["numbers"]["payment_success"]["state"] == "bad"
    assert document["now"]["payments_unknown"]["value"] == 13
    assert document["now"]["payments_pending"]["value"] == 0
    gauges = read_unknown()
    assert gauges[PAYMENTS_UNKNOWN] == {(): 13}
    assert gauges[PAYMENTS_UNKNOWN_OLDEST] == {(): oldest}
    assert checks(staff)["Unsettled payments"] == (
        "bad: stuck 13 without an outcome, the oldest for 3 h 2 min."
    )
    assert "Unsettled payments stuck" in found(staff)
    assert "1 buyer may have been charged" in found(staff)


@pytest.mark.usefixtures("noon")
def test_a_payment_within_its_time_is_only_in_progress(staff: Client) -> None:
    order(0.5, status="PENDING")
    assert checks(staff)["Unsettled payments"] == "good: none 1 in progress."
    order(5, status="PENDING")
    assert checks(staff)["Unsettled payments"] == (
        "warn: unknown 1 without an outcome, the oldest for 5 min."
    )


@pytest.mark.usefixtures("noon")
def test_a_stopped_worker_shows_the_payments_that_wait_for_it(staff: Client) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON - timedelta(minutes=4))
    orders(3, 1, status="PENDING", kind="flash")
    outage = incident(staff)
    assert outage["title"] == "Worker: silent for 240 s"
    assert outage["Since"] == "2 Mar, 11:56 UTC, 4 min ago"
    assert outage["Affected"] == "3 payments not settled"
    assert outage["Next step"].startswith("Start the worker: manage.py worker")


@pytest.mark.usefixtures("noon")
def test_an_open_violation_counts_however_old_the_audit_is(staff: Client) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON)
    AuditViolation.objects.create(
        invariant="sold_within_offered",
        subject="7",
        detail="-",
        amount=3,
        found_at=TEST_NOON - timedelta(days=1),
    )
    outage = incident(staff)
    assert (outage["title"], outage["Affected"]) == ("Books: oversold", "3 units oversold")
    AuditViolation.objects.update(invariant="ledger_equals_stock")
    assert incident(staff)["title"] == "Books: do not agree"


@pytest.mark.usefixtures("noon")
def test_without_a_finding_the_most_severe_alert_comes_first(staff: Client) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON)
    steps = "The first steps:\n1. Look at it.\n2. Mend it."
    text = {"summary": "Half of all checkouts fail", "description": steps}
    fields = alert("RetailCheckoutBudgetBurn", labels={"product": "7"}, annotations=text)
    receive(0, {**fields, "startsAt": "2026-03-02T11:50:00Z"})
    assert incident(staff) == {
        "title": "Half of all checkouts fail",
        "What": "RetailCheckoutBudgetBurn fires for product=7.",
        "Since": "2 Mar, 11:50 UTC, 10 min ago",
        "Affected": "not known",
        "Next step": "Look at it. Runbook",
    }


@pytest.mark.usefixtures("noon")
def test_nothing_wrong_is_no_incident(staff: Client) -> None:
    WorkerHeartbeat.objects.create(worker="w", seen_at=TEST_NOON)
    orders(30, 1)
    assert incident(staff) == {}
    assert found(staff).startswith("Found by the shop itself Nothing.")
