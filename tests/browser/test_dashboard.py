"""Staff look at the dashboard: each state of it, and how it follows what happens."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import DESKTOP, PHONE, examine
from tests.browser.support import LAMP, PASSWORD, ShopWithoutDebug, Visitor
from tests.browser.test_alerts import HIDE, WARNING, story, tell
from tests.running.support import wait_until

PAGE = "/metrics/dashboard/"
CHARTS = ("daily", "revenue", "errors", "payments", "times", "requests", "settled", "held")
STAFF = f"""
from django.contrib.auth.models import User
User.objects.create_user("merchandiser", password="{PASSWORD}", is_staff=True)
"""
FORGET = """
from oncall.models import Alert, AlertFeed
from orders.models import Payment, Sale, SaleItem
from retail.models import Metric, MetricRollup, RollupMark
for model in (Alert, AlertFeed, Payment, SaleItem, Sale, Metric, MetricRollup, RollupMark):
    model.objects.all().delete()
"""
# The log-in is a request as any other, and noted within seconds; a look at the dashboard is not.
AFTER_THE_LOG_IN = """
import time
from retail.models import Metric
until = time.monotonic() + 60
while not Metric.objects.filter(metric_type="error_rate").exists() and time.monotonic() < until:
    time.sleep(0.1)
"""
# Three days of requests and orders; an hour ago the shop was ill.
PAST = """
import uuid
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from orders.models import Payment, Sale
from retail.history import rollups
from retail.models import Metric
now = timezone.now()
user = User.objects.get(username="merchandiser")
for minutes in range(2, 3 * 24 * 60, 20):
    at = now - timedelta(minutes=minutes)
    ill = 40 < minutes < 80
    count, errors = 60 + minutes % 50, 9 if ill else 0
    told = [
        {"request_id": str(uuid.uuid4()), "view": "orders:checkout", "status": 500,
         "at": at.isoformat()} for _ in range(errors)
    ]
    facts = {"count": count, "errors": errors, "client_errors": minutes % 3, "recent": told}
    row = {"metadata": facts, "timestamp": at}
    Metric.objects.create(metric_type="error_rate", value=100 * errors / count, **row)
    buckets = [0, count - 25, 10, 0, 0, 10, 5 if not ill else 0, 0, 5 if ill else 0, 0, 0, 0]
    row["metadata"] = {"count": count, "buckets": buckets, "max_ms": 2400 if ill else 480}
    Metric.objects.create(metric_type="avg_response_time", value=60, **row)
    if ill:
        row["metadata"] = {"scope": "checkout"}
        Metric.objects.create(metric_type="throttled_requests", value=1, **row)
    paid = {"status": "FAILED", "failure_reason": "declined"} if ill else {"status": "COMPLETED"}
    sale = Sale.objects.create(
        user=user, status="FAILED" if ill else "CONFIRMED", total="24.90", currency="EUR",
        idempotency_key=uuid.uuid4(), delivery_name="-", delivery_address="-",
        created_at=at, finished_at=at,
    )
    Payment.objects.create(
        sale=sale, token="tok_good", amount="24.90", currency="EUR", created_at=at,
        settled_at=at, due_at=at, **paid,
    )
rollups.roll_up(now)
"""
# An answer 5xx of this very moment.
ERROR = """
from django.utils import timezone
from retail.models import Metric
now = timezone.now()
told = [{"request_id": "this-very-one", "view": "cart:view", "status": 500, "at": now.isoformat()}]
facts = {"count": 4000, "errors": 2000, "client_errors": 0, "recent": told}
Metric.objects.create(metric_type="error_rate", value=50, metadata=facts, timestamp=now)
"""
ASK = "htmx.trigger('#live', 'seen-again')"
DRAWN = """() => [...document.querySelectorAll("figure.chart")].filter((figure) => {
  const canvas = figure.querySelector("canvas");
  if (!canvas) return false;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.some((value) => value > 0);
}).map((figure) => figure.id.replace("chart-", ""))"""
# What is drawn of a series, by its colour: pixels that are more red than anything else.
REDDISH = """(id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4)
    if (data[at + 3] > 200 && data[at] > 150 && data[at] > 2.2 * data[at + 1]) found += 1;
  return found;
}"""


def buy(shop: ShopWithoutDebug) -> None:
    """Order as a new customer, without the browser."""
    buyer = shop.shopper()
    buyer.put_in_cart(f"/products/{LAMP}/")
    buyer.order()


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop, with somebody who looks at its numbers."""
    running_shop.run(STAFF)
    return running_shop


@pytest.fixture
def somebody(visitor: OpenVisitor, staffed_shop: ShopWithoutDebug) -> Visitor:
    """Return somebody of the staff; nothing ever happened in the shop."""
    staffed_shop.run(FORGET)
    one = visitor(customer=False)
    one.open(PAGE)
    one.page.get_by_label("Username").fill("merchandiser")
    one.page.get_by_label("Password").fill(PASSWORD)
    one.press("Log in")
    one.is_at(PAGE)
    return one


@pytest.fixture
def looking(somebody: Visitor, staffed_shop: ShopWithoutDebug) -> Visitor:
    """Return somebody who looks at the last day of a shop with a past."""
    staffed_shop.run(PAST)
    somebody.open(PAGE)
    expect(somebody.page.locator("figure.chart canvas")).to_have_count(len(CHARTS))
    return somebody


def kept(page: Page, name: str, pictures: Path) -> None:
    """Keep pictures for people to look at: desk and phone, light and dark."""
    for size, device in ((DESKTOP, "desk"), (PHONE, "phone")):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.emulate_media(color_scheme=scheme)
            page.evaluate("document.fonts.ready.then(() => true)")
            page.screenshot(
                path=pictures / f"{name}-{device}-{scheme}.png",
                full_page=True,
                animations="disabled",
            )


def test_an_empty_shop(somebody: Visitor, staffed_shop: ShopWithoutDebug, pictures: Path) -> None:
    staffed_shop.run(AFTER_THE_LOG_IN + FORGET)
    somebody.open(f"{PAGE}?range=7d")
    somebody.reads("The shop takes no returns yet, so there is nothing to count.")
    expect(somebody.page.locator("figure.chart canvas")).to_have_count(0)
    expect(somebody.page.locator(".chart-empty:visible")).to_have_count(len(CHARTS))
    examine(somebody.page, "dashboard-empty", pictures)


@pytest.mark.parametrize("name", ["1h", "24h", "7d", "30d", "90d"])
def test_a_shop_with_a_past(looking: Visitor, pictures: Path, name: str) -> None:
    page = looking.page
    link = page.get_by_role("navigation", name="Range").locator(f'a[href="?range={name}"]').first
    link.click()
    expect(link).to_have_attribute("aria-current", "page")
    expect(page.locator("figure.chart canvas")).to_have_count(len(CHARTS))
    assert set(page.evaluate(DRAWN)) == set(CHARTS)
    examine(page, f"dashboard-{name}", pictures)
    kept(page, f"dashboard-{name}", pictures)
    assert set(page.evaluate(DRAWN)) == set(CHARTS)  # again after each change of size and scheme


def test_charts_have_the_colours_of_the_scheme(looking: Visitor) -> None:
    page = looking.page
    assert page.evaluate(REDDISH, "chart-errors") > 50
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: not page.evaluate(REDDISH, "chart-errors"), "the dark scheme's paler red")
    page.emulate_media(color_scheme="light")
    wait_until(lambda: page.evaluate(REDDISH, "chart-errors") > 50, "the light scheme's red")


def test_the_table_behind_a_chart_has_its_numbers(looking: Visitor) -> None:
    page = looking.page
    figure = page.locator("#chart-requests")
    rows = figure.locator("tbody tr")
    expect(rows).to_have_count(24)
    expect(rows.first).to_be_hidden()
    figure.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(rows.first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = list(csv.DictReader(StringIO(download.value.path().read_text("utf-8"))))
    told = [f"{int(line['requests (requests)']):,}" for line in lines]
    assert rows.locator("td").all_inner_texts() == told[::-1]
    assert download.value.suggested_filename.startswith("vitrine-24h-")
    data = page.evaluate("JSON.parse(document.getElementById('drawable').textContent)")
    assert [f"{count:,}" for count in data["series"]["requests"]] == told


def test_without_a_mouse(looking: Visitor) -> None:
    page = looking.page
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
    expect(region).to_be_focused()  # and can be scrolled with the keys
    before = region.evaluate("(one) => one.scrollTop")
    page.keyboard.press("End")
    wait_until(lambda: region.evaluate("(one) => one.scrollTop") > before, "the table to scroll")


def test_it_follows_what_happens_and_keeps_the_place(
    looking: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    page = looking.page
    looking.open(f"{PAGE}?range=1h")
    expect(page.locator("#live")).to_have_attribute("hx-trigger", "every 5s, seen-again")
    opened = page.locator("#chart-errors details")
    opened.locator("summary").click()
    page.locator("#check-1").focus()
    requests = page.locator("#chart-requests canvas")
    page.evaluate("(one) => { one.dataset.mark = 'the same' }", requests.element_handle())
    staffed_shop.run(ERROR)
    # By itself, within seconds:
    expect(page.locator(".errors tbody tr").first).to_contain_text("this-very-one")
    expect(page.locator(".key", has_text="Error rate")).to_contain_text("too high")
    expect(page.get_by_role("status")).to_contain_text("you now")
    assert page.evaluate("document.activeElement.id") == "check-1"
    expect(opened).to_have_attribute("open", "")
    drawn = page.evaluate("JSON.parse(document.getElementById('drawable').textContent)")
    rates = [row.locator("td").first.inner_text() for row in opened.locator("tbody tr").all()]
    assert [float(rate) for rate in rates if rate != "–"] == [  # noqa: RUF001 - a dash it is
        round(rate, 2) for rate in drawn["series"]["error_rate"][::-1] if rate is not None
    ]
    assert max(rate for rate in drawn["series"]["error_rate"] if rate is not None) > 40
    expect(requests).to_have_attribute("data-mark", "the same")  # fed anew, not made anew


def test_an_outage_comes_and_goes_without_a_reload(
    looking: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    page, shop = looking.page, staffed_shop
    breaker = page.locator(".check", has_text="Circuit breaker").locator(".check-word")
    gateway = page.locator(".check", has_text="Gateway").locator(".check-word")
    firing = page.locator(".firing")
    buy(shop)
    expect(breaker).to_have_text("closed")
    page.evaluate("window.mark = 'not loaded again'")
    shop.gateway.knobs(off=True)
    buy(shop)
    expect(breaker).to_have_text("open")
    expect(gateway).to_have_text("not answering")
    tell(shop, story(WARNING, 1))
    expect(firing).to_contain_text("RetailCircuitBreakerOpen")
    shop.gateway.knobs()
    shop.pass_the_rest()
    buy(shop)
    expect(breaker).to_have_text("closed")
    tell(shop, story(WARNING, 2, 0))
    expect(firing).to_have_count(0)
    assert page.evaluate("window.mark") == "not loaded again"


def test_nobody_looks_and_nothing_is_asked(
    looking: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    page = looking.page
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/metrics/" in one.url else None)
    page.evaluate(HIDE, True)
    staffed_shop.run(ERROR)
    page.evaluate(ASK)
    page.wait_for_timeout(6000)  # longer than it waits when somebody looks
    assert asked == []
    page.evaluate(HIDE, False)  # looked at again, it asks at once
    expect(page.locator(".errors tbody tr").first).to_contain_text("this-very-one")
    assert len(asked) == 1


def test_numbers_that_cannot_be_refreshed_are_said_to_be_old(looking: Visitor) -> None:
    page = looking.page
    stale = page.get_by_text("what stands here may be old")
    expect(stale).to_be_hidden()
    address = "**/metrics/dashboard/news/**"
    page.route(address, lambda route: route.fulfill(status=503, body="away"))
    page.evaluate(ASK)
    expect(stale).to_be_visible()
    page.unroute(address)
    page.evaluate(ASK)
    expect(stale).to_be_hidden()
    told = looking.leave()  # htmx tells it too
    assert {line.partition(" from")[0] for line in told if line.startswith("console")} == {
        "console: Response Status Error Code 503"
    }
    assert all(line.startswith(("console", "refused: [503")) for line in told)


def test_who_is_logged_out_elsewhere_is_asked_to_log_in(looking: Visitor) -> None:
    looking.context.clear_cookies()
    looking.page.evaluate(ASK)
    looking.sees("Log in")
    looking.is_at(f"/accounts/login/?next={PAGE}")
    looking.expected = [401]


def test_a_pointer_reads_a_chart(looking: Visitor) -> None:
    figure = looking.page.locator("#chart-times")
    figure.locator(".u-over").hover()
    expect(figure.locator(".readout")).to_contain_text("p99")
    expect(figure.locator(".readout")).to_contain_text(" ms")


def test_without_scripts_the_tables_are_there(visitor: OpenVisitor, looking: Visitor) -> None:
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(looking.context.cookies())  # type: ignore[arg-type]
    plain.open(PAGE)
    expect(plain.page.locator("noscript p")).to_be_visible()
    expect(plain.page.locator("#chart-requests tbody tr")).to_have_count(24)
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
