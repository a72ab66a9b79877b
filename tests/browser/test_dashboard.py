"""The dashboard in the browser: each of its states, and its updates."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import DESKTOP, PHONE, examine
from tests.browser.support import LAMP, PASSWORD, ShopWithoutDebug, Visitor
from tests.browser.test_alerts import HIDE, WARNING, alert, notify
from tests.running.support import wait_until

PAGE = "/metrics/dashboard/"
CHARTS = (
    "daily",
    "revenue",
    "refunds",
    "errors",
    "payments",
    "times",
    "requests",
    "settled",
    "rejected",
)
STAFF = f"""
from django.contrib.auth.models import User
User.objects.create_user("merchandiser", password="{PASSWORD}", is_staff=True)
"""
DELETE_EVERYTHING = """
from oncall.models import Alert, AlertFeed
from orders.models import Payment, Sale, SaleItem
from retail.models import Metric, MetricRollup, RollupMark
from returns.models import Refund
tables = (Alert, AlertFeed, Refund, Payment, SaleItem, Sale, Metric, MetricRollup, RollupMark)
for model in tables:
    model.objects.all().delete()
"""
# The log-in is recorded like any request, within seconds; a view of the dashboard is not.
AFTER_THE_LOG_IN = """
import time
from retail.models import Metric
until = time.monotonic() + 60
while not Metric.objects.filter(metric_type="error_rate").exists() and time.monotonic() < until:
    time.sleep(0.1)
"""
# Three days of requests and orders, with an incident an hour ago.
PAST = """
import uuid
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from orders.models import Payment, Sale
from retail.history import rollups
from retail.models import Metric
from returns.models import Refund
now = timezone.now()
user = User.objects.get(username="merchandiser")
for minutes in range(2, 3 * 24 * 60, 20):
    at = now - timedelta(minutes=minutes)
    incident = 40 < minutes < 80
    count, errors = 60 + minutes % 50, 9 if incident else 0
    recent = [
        {"request_id": str(uuid.uuid4()), "view": "orders:checkout", "status": 500,
         "at": at.isoformat()} for _ in range(errors)
    ]
    counts = {"count": count, "errors": errors, "client_errors": minutes % 3, "recent": recent}
    row = {"metadata": counts, "timestamp": at}
    Metric.objects.create(metric_type="error_rate", value=100 * errors / count, **row)
    buckets = [0, count - 25, 10, 0, 0, 10, 0 if incident else 5, 0, 5 if incident else 0, 0, 0, 0]
    row["metadata"] = {"count": count, "buckets": buckets, "max_ms": 2400 if incident else 480}
    Metric.objects.create(metric_type="avg_response_time", value=60, **row)
    if incident:
        row["metadata"] = {"scope": "checkout"}
        Metric.objects.create(metric_type="throttled_requests", value=1, **row)
    failed = {"status": "FAILED", "failure_reason": "declined"}
    outcome = failed if incident else {"status": "COMPLETED"}
    sale = Sale.objects.create(
        user=user, status="FAILED" if incident else "CONFIRMED", total="24.90", currency="EUR",
        idempotency_key=uuid.uuid4(), delivery_name="-", delivery_address="-",
        created_at=at, finished_at=at,
    )
    payment = Payment.objects.create(
        sale=sale, token="tok_good", amount="24.90", currency="EUR", created_at=at,
        settled_at=at, due_at=at, **outcome,
    )
    if not incident:
        Refund.objects.create(
            payment=payment, amount="4.90", currency="EUR", reason="goodwill", status="SUCCEEDED",
            created_at=at, settled_at=at,
        )
rollups.roll_up(now)
"""
# A 5xx response just now.
ERROR = """
from django.utils import timezone
from retail.models import Metric
now = timezone.now()
recent = [{"request_id": "just-now", "view": "cart:view", "status": 500, "at": now.isoformat()}]
counts = {"count": 4000, "errors": 2000, "client_errors": 0, "recent": recent}
Metric.objects.create(metric_type="error_rate", value=50, metadata=counts, timestamp=now)
"""
POLL = "htmx.trigger('#live', 'seen-again')"
DRAWN = """() => [...document.querySelectorAll("figure.chart")].filter((figure) => {
  const canvas = figure.querySelector("canvas");
  if (!canvas) return false;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.some((value) => value > 0);
}).map((figure) => figure.id.replace("chart-", ""))"""
# Counts the pixels of a chart that are mostly red.
REDDISH = """(id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200 && data[at] > 150 && data[at] > 2.2 * data[at + 1]) count += 1;
  return count;
}"""


def buy(shop: ShopWithoutDebug) -> None:
    """Place an order as a new customer, without the browser."""
    buyer = shop.shopper()
    buyer.put_in_cart(f"/products/{LAMP}/")
    buyer.order()


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop with a staff user."""
    running_shop.run(STAFF)
    return running_shop


@pytest.fixture
def viewer_of_empty_shop(visitor: OpenVisitor, staffed_shop: ShopWithoutDebug) -> Visitor:
    """Return a staff member who views the dashboard of an empty shop."""
    staffed_shop.run(DELETE_EVERYTHING)
    staff = visitor(customer=False)
    staff.open(PAGE)
    staff.page.get_by_label("Username").fill("merchandiser")
    staff.page.get_by_label("Password").fill(PASSWORD)
    staff.press("Log in")
    staff.is_at(PAGE)
    return staff


@pytest.fixture
def viewer(viewer_of_empty_shop: Visitor, staffed_shop: ShopWithoutDebug) -> Visitor:
    """Return a staff member who views the last day of a shop with some history."""
    staffed_shop.run(PAST)
    viewer_of_empty_shop.open(PAGE)
    expect(viewer_of_empty_shop.page.locator("figure.chart canvas")).to_have_count(len(CHARTS))
    return viewer_of_empty_shop


def take_pictures(page: Page, name: str, pictures: Path) -> None:
    """Save pictures for people: desktop and phone, light and dark."""
    for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("document.fonts.ready.then(() => true)")
            page.screenshot(
                path=pictures / f"{name}-{device}-{scheme}.png",
                full_page=True,
                animations="disabled",
            )


def test_an_empty_shop(
    viewer_of_empty_shop: Visitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    viewer = viewer_of_empty_shop
    staffed_shop.run(AFTER_THE_LOG_IN + DELETE_EVERYTHING)
    viewer.open(f"{PAGE}?range=7d")
    viewer.reads("Nothing was refunded in this range.")
    expect(viewer.page.locator("figure.chart canvas")).to_have_count(0)
    expect(viewer.page.locator(".chart-empty:visible")).to_have_count(len(CHARTS))
    examine(viewer.page, "dashboard-empty", pictures)


@pytest.mark.parametrize("name", ["1h", "24h", "7d", "30d", "90d"])
def test_a_shop_with_history(viewer: Visitor, pictures: Path, name: str) -> None:
    page = viewer.page
    link = page.get_by_role("navigation", name="Range").locator(f'a[href="?range={name}"]').first
    link.click()
    expect(link).to_have_attribute("aria-current", "page")
    expect(page.locator("figure.chart canvas")).to_have_count(len(CHARTS))
    assert set(page.evaluate(DRAWN)) == set(CHARTS)
    examine(page, f"dashboard-{name}", pictures)
    take_pictures(page, f"dashboard-{name}", pictures)
    assert set(page.evaluate(DRAWN)) == set(CHARTS)  # redrawn after each change of size and scheme


def test_charts_have_the_colours_of_the_scheme(viewer: Visitor) -> None:
    page = viewer.page
    assert page.evaluate(REDDISH, "chart-errors") > 50
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: not page.evaluate(REDDISH, "chart-errors"), "the dark scheme's paler red")
    page.emulate_media(color_scheme="light")
    wait_until(lambda: page.evaluate(REDDISH, "chart-errors") > 50, "the light scheme's red")


def test_the_table_behind_a_chart_has_its_numbers(viewer: Visitor) -> None:
    page = viewer.page
    figure = page.locator("#chart-requests")
    rows = figure.locator("tbody tr")
    expect(rows).to_have_count(24)
    expect(rows.first).to_be_hidden()
    figure.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(rows.first).to_be_visible()

    def all_agree() -> bool:
        with page.expect_download() as download:
            page.get_by_role("link", name="Download CSV").click()
        assert download.value.suggested_filename.startswith("vitrine-24h-")
        lines = list(csv.DictReader(StringIO(download.value.path().read_text("utf-8"))))
        counts = [f"{int(line['requests (requests)']):,}" for line in lines]
        data = page.evaluate("JSON.parse(document.getElementById('drawable').textContent)")
        drawn = [f"{count:,}" for count in data["series"]["requests"]]
        table = [text.strip() for text in rows.locator("td").all_text_contents()]
        return table == counts[::-1] and drawn == counts

    # Requests of the log-in may be recorded between the page and the file; the page polls.
    wait_until(all_agree, "table, chart and CSV file to show the same numbers")


def test_with_the_keyboard(viewer: Visitor) -> None:
    page = viewer.page
    page.get_by_role("link", name="Hour", exact=True).focus()
    order = []
    for _ in range(6):
        order.append(page.evaluate("document.activeElement.textContent.trim()"))
        page.keyboard.press("Tab")
    assert order == ["Hour", "24 hours", "7 days", "30 days", "90 days", "Download CSV"]
    region = page.locator("#chart-times .table-scroll")
    page.locator("#chart-times summary").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(region).to_be_focused()  # so that it can be scrolled with the keyboard
    before = region.evaluate("(element) => element.scrollTop")
    page.keyboard.press("End")
    wait_until(
        lambda: region.evaluate("(element) => element.scrollTop") > before, "the table to scroll"
    )


def test_the_page_updates_itself_and_keeps_focus_and_open_parts(
    viewer: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    page = viewer.page
    viewer.open(f"{PAGE}?range=1h")
    expect(page.locator("#live")).to_have_attribute("hx-trigger", "every 5s, seen-again")
    opened = page.locator("#chart-errors details")
    opened.locator("summary").click()
    link = page.get_by_role("link", name="Circuit breaker")
    link.focus()
    requests = page.locator("#chart-requests canvas")
    page.evaluate("(canvas) => { canvas.dataset.mark = 'the same' }", requests.element_handle())
    staffed_shop.run(ERROR)
    # Without a reload, within seconds:
    expect(page.locator(".errors tbody tr").first).to_contain_text("just-now")
    expect(page.locator(".key", has_text="Error rate")).to_contain_text("too high")
    expect(page.get_by_role("status")).to_contain_text("attention now")
    expect(link).to_be_focused()
    expect(opened).to_have_attribute("open", "")
    drawn = page.evaluate("JSON.parse(document.getElementById('drawable').textContent)")
    rates = [row.locator("td").first.inner_text() for row in opened.locator("tbody tr").all()]
    assert [float(rate) for rate in rates if rate != "–"] == [  # noqa: RUF001 - an en dash
        round(rate, 2) for rate in drawn["series"]["error_rate"][::-1] if rate is not None
    ]
    assert max(rate for rate in drawn["series"]["error_rate"] if rate is not None) > 40
    expect(requests).to_have_attribute("data-mark", "the same")  # updated, not redrawn


def test_an_outage_comes_and_goes_without_a_reload(
    viewer: Visitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    page, shop = viewer.page, staffed_shop
    breaker = page.locator(".check", has_text="Circuit breaker").locator(".check-word")
    gateway = page.locator(".check", has_text="Gateway").locator(".check-word")
    firing = page.locator(".firing")
    buy(shop)
    expect(breaker).to_have_text("closed")
    page.evaluate("window.mark = 'not reloaded'")
    shop.gateway.knobs(off=True)
    buy(shop)
    expect(breaker).to_have_text("open")
    expect(gateway).to_have_text("not responding")
    buy(shop)  # refused
    incident = page.locator(".incident")
    expect(incident).to_contain_text("1 buyer refused, in 1 checkout")
    expect(incident).to_contain_text("Next stepCheck the payment gateway")
    expect(incident).to_contain_text("less than a minute ago")
    for width, height in (DESKTOP, PHONE):  # the first minute, on one screen
        page.set_viewport_size({"width": width, "height": height})
        box = incident.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
        page.screenshot(path=pictures / f"dashboard-outage-{width}.png")
    examine(page, "dashboard-outage", pictures)
    notify(shop, alert(WARNING, 1))
    expect(firing).to_contain_text("RetailCircuitBreakerOpen")
    shop.gateway.knobs()
    shop.pass_the_rest()
    buy(shop)
    expect(breaker).to_have_text("closed")
    notify(shop, alert(WARNING, 2, 0))
    expect(firing).to_have_count(0)
    expect(incident).not_to_contain_text("Circuit breaker")
    assert page.evaluate("window.mark") == "not reloaded"


def test_a_hidden_page_does_not_poll(viewer: Visitor, staffed_shop: ShopWithoutDebug) -> None:
    page = viewer.page
    polled: list[str] = []
    page.on("request", lambda sent: polled.append(sent.url) if "/metrics/" in sent.url else None)
    page.evaluate(HIDE, True)
    staffed_shop.run(ERROR)
    page.evaluate(POLL)
    page.wait_for_timeout(6000)  # longer than the polling interval
    assert polled == []
    page.evaluate(HIDE, False)  # visible again, it polls at once
    expect(page.locator(".errors tbody tr").first).to_contain_text("just-now")
    assert len(polled) == 1


def test_a_failed_update_is_reported(viewer: Visitor) -> None:
    page = viewer.page
    stale = page.get_by_text("This data may be out of date")
    expect(stale).to_be_hidden()
    address = "**/metrics/dashboard/news/**"
    page.route(address, lambda route: route.fulfill(status=503, body="unavailable"))
    page.evaluate(POLL)
    expect(stale).to_be_visible()
    page.unroute(address)
    page.evaluate(POLL)
    expect(stale).to_be_hidden()
    problems = viewer.leave()  # htmx logs it, too
    assert {line.partition(" from")[0] for line in problems if line.startswith("console")} == {
        "console: Response Status Error Code 503"
    }
    assert all(line.startswith(("console", "refused: [503")) for line in problems)


def test_a_user_logged_out_elsewhere_is_sent_to_the_login(viewer: Visitor) -> None:
    viewer.context.clear_cookies()
    viewer.page.evaluate(POLL)
    viewer.sees("Log in")
    viewer.is_at(f"/accounts/login/?next={PAGE}")
    viewer.expected = [401]


def test_hovering_shows_the_numbers_of_a_chart(viewer: Visitor) -> None:
    figure = viewer.page.locator("#chart-times")
    figure.locator(".u-over").hover()
    expect(figure.locator(".readout")).to_contain_text("p99")
    expect(figure.locator(".readout")).to_contain_text(" ms")


def test_without_scripts_the_tables_are_shown(visitor: OpenVisitor, viewer: Visitor) -> None:
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(viewer.context.cookies())  # type: ignore[arg-type]
    plain.open(PAGE)
    expect(plain.page.locator("noscript p")).to_be_visible()
    expect(plain.page.locator("#chart-requests tbody tr")).to_have_count(24)
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
