"""The dashboard: access, and its texts for a healthy, a failing and an empty shop."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboards.cards import trend
from retail.history import rollups
from retail.models import Metric, RollupMark, WorkerHeartbeat
from retail.observability.rows.intervals import DURATION_BOUNDS_MS
from tests.dashboards.support import PAGE, RANGES, cards, main_text
from tests.oncall.support import alert, receive
from tests.support import make_buyer, periodic_jobs_succeeded

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client
    from pytest_django import Settings

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
PAGES = [PAGE, f"{PAGE}news/", f"{PAGE}csv/"]


@pytest.fixture(autouse=True)
def _it_is_noon(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr("dashboards.views.timezone.now", lambda: NOON)
    monkeypatch.setattr("retail.web.probes.timezone.now", lambda: NOON)
    settings.RUNBOOKS_DIR = tmp_path
    settings.GRAFANA_URL = ""
    settings.ALERT_RECEIVERS = {"e-mail": True}


def requests(
    minutes: float, count: int, errors: int = 0, milliseconds: float = 40, **more: Any
) -> None:
    """Record an interval of equally slow requests, so many minutes before noon."""
    when = NOON - timedelta(minutes=minutes)
    counts = {"count": count, "errors": errors, "client_errors": 0, **more}
    Metric.objects.create(
        metric_type="error_rate", value=100 * errors / count, metadata=counts, timestamp=when
    )
    buckets = [0] * (len(DURATION_BOUNDS_MS) + 1)
    buckets[sum(milliseconds > bound for bound in DURATION_BOUNDS_MS)] = count
    times = {"count": count, "buckets": buckets, "max_ms": milliseconds}
    Metric.objects.create(
        metric_type="avg_response_time", value=milliseconds, metadata=times, timestamp=when
    )


def settled(minutes: float, completed: int, failed: int) -> None:
    """Settle payments so many minutes before noon."""
    from tests.quality.support import order  # noqa: PLC0415

    for number in range(completed + failed):
        payment = order(status="COMPLETED" if number < completed else "FAILED")
        when = NOON - timedelta(minutes=minutes)
        type(payment).objects.filter(pk=payment.pk).update(settled_at=when)
        type(payment.sale).objects.filter(pk=payment.sale_id).update(finished_at=when)


def healthy() -> None:
    """Make every health check pass, and roll up everything recorded so far."""
    receive(0, alert("Watchdog"))
    WorkerHeartbeat.objects.create(worker="w", seen_at=NOON)
    periodic_jobs_succeeded(NOON)
    rollups.roll_up(NOON)


@pytest.mark.parametrize("path", PAGES)
def test_only_staff_have_access(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path).status_code == 200
    assert staff.head(path).status_code == 200
    assert staff.post(path).status_code == 405
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
    client.force_login(make_buyer("customer"))
    assert client.get(path).status_code == 403


def test_staff_see_links_to_the_dashboard(admin_client: Client, client: Client) -> None:
    assert f'href="{PAGE}"' in admin_client.get("/").content.decode()
    assert f'href="{PAGE}"' in admin_client.get("/admin/").content.decode()
    client.force_login(make_buyer("customer"))
    assert "/metrics/" not in client.get("/").content.decode()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("name", ["", "2h", "1H", "365d", "1h\x00"])
def test_unknown_ranges_are_rejected(staff: Client, path: str, name: str) -> None:
    response = staff.get(path, {"range": name})
    assert response.status_code == 400
    text = html.unescape(response.content.decode())
    assert "Invalid range" in text
    assert "The range must be one of 1h, 24h, 7d, 30d, 90d." in text


@pytest.mark.parametrize("name", RANGES)
def test_the_current_range_is_marked(staff: Client, name: str) -> None:
    page = staff.get(PAGE, {"range": name}).content.decode()
    assert re.findall(r'href="\?range=(\w+)"( aria-current="page")?', page) == [
        (other, ' aria-current="page"' if other == name else "") for other in RANGES
    ]
    assert f'href="{PAGE}csv/?range={name}"' in page


def test_an_empty_shop_explains_why_numbers_are_missing(staff: Client) -> None:
    healthy()
    assert cards(staff) == {
        "Orders": "calm: No orders confirmed in this range.",
        "Revenue": "calm: No orders confirmed, so no revenue.",
        "Error rate": "calm: No requests in this range. Limit: at most 5 %",
        "Payment success": "calm: No payments settled in this range. Limit: at least 95 %",
        "Response time": "calm: No requests in this range. Limit: p95 at most 1,000 ms",
        "Refunds": "calm: Nothing was refunded in this range. All refunds are settled.",
        "Throttled": "calm: No requests in this range.",
        "Stock conflicts": "calm: No requests in this range. Limit: at most 0",
    }
    page = main_text(staff)
    assert "No problems, but no visitors" in page
    assert "Latest errors No requests in this range." in page
    assert "Not settled yet: 0 pending and 0 unknown" in page


def test_a_healthy_shop_has_no_problems(staff: Client) -> None:
    requests(3, 100)
    requests(63, 50)
    settled(3, 40, 1)
    healthy()
    texts = cards(staff, "1h")
    assert texts["Error rate"] == (
        "good: normal 0.00 % Same as the previous hour 0 of 100 requests 5xx, "
        "plus 0.00 % 4xx Limit: at most 5 %"
    )
    assert texts["Response time"] == (
        "good: normal p50 37.5 ms p95 40.0 ms p99 40.0 ms P95: same as the previous hour "
        "Limit: p95 at most 1,000 ms"
    ).replace("P95", "p95")
    assert texts["Payment success"].startswith("good: normal 97.56 % No data for the previous hour")
    assert texts["Stock conflicts"] == ("good: normal 0 Same as the previous hour Limit: at most 0")
    assert texts["Orders"].startswith("calm: no limit 40 ▲ from none in the previous hour")
    page = main_text(staff, "1h")
    assert "No problems All numbers are within their limits" in page
    assert "No 5xx responses in this range." in page


@pytest.mark.parametrize(
    ("count", "errors", "milliseconds", "error_rate", "speed"),
    [
        (100, 1, 500, "good: normal 1.00 %", "good: normal"),
        (100, 2, 501, "warn: elevated 2.00 %", "warn: slow"),
        (100, 5, 1000, "warn: elevated 5.00 %", "warn: slow"),
        (100, 6, 2600, "bad: too high 6.00 %", "bad: too slow"),
        (19, 9, 9999, "calm: too little data 47.37 %", "calm: too little data"),
    ],
)
def test_requests_are_evaluated_against_the_thresholds(
    staff: Client, count: int, errors: int, milliseconds: float, error_rate: str, speed: str
) -> None:
    requests(3, count, errors, milliseconds)
    texts = cards(staff, "1h")
    assert texts["Error rate"].startswith(error_rate)
    assert texts["Response time"].startswith(speed)


@pytest.mark.parametrize(
    ("completed", "failed", "text"),
    [
        (97, 3, "good: normal 97.00 %"),
        (95, 5, "warn: low 95.00 %"),
        (94, 6, "bad: too low 94.00 %"),
        (10, 9, "calm: too little data 52.63 %"),
    ],
)
def test_payments_are_evaluated_against_the_thresholds(
    staff: Client, completed: int, failed: int, text: str
) -> None:
    settled(3, completed, failed)
    assert cards(staff, "1h")["Payment success"].startswith(text)


def test_the_worst_problems_are_listed_first(staff: Client) -> None:
    requests(3, 100, 2, 2600)
    healthy()
    receive(
        0, alert("RetailOversold", -5), alert("RetailQuiet", -5, labels={"severity": "warning"})
    )
    page = main_text(staff, "1h")
    assert (
        "2 problems need attention now, 3 warnings RetailOversold, in a sentence "
        "RetailOversold fires. Since"
    ) in page
    assert (
        "too slow Response time alert firing RetailOversold "
        "elevated Error rate elevated Sales now alert firing RetailQuiet "
        "RetailOversold for 5 min: RetailOversold, in a sentence"
    ) in page


def test_trends_compare_with_the_previous_range(staff: Client) -> None:
    requests(3, 100, 4, 80)
    requests(63, 50, 1, 40)
    texts = cards(staff, "1h")
    assert "▲ 2.00 points from 2.00 % in the previous hour" in texts["Error rate"]
    assert "p95: ▲ 100 % from 40.0 ms in the previous hour" in texts["Response time"]


@pytest.mark.parametrize(
    ("value", "before", "unit", "text"),
    [
        (None, 1, "orders", ""),
        (3, None, "%", "No data for the previous hour"),
        (0, 0, "orders", "Same as the previous hour"),
        (12.344, 12.341, "%", "Same as the previous hour"),
        (3, 0, "orders", "▲ from none in the previous hour"),
        (1500, 1000, "orders", "▲ 50 % from 1,000 in the previous hour"),
        (998, 1000, "orders", "▼ 0.2 % from 1,000 in the previous hour"),
        (0, 4, "orders", "▼ 100 % from 4 in the previous hour"),
        (97.5, 99.25, "%", "▼ 1.75 points from 99.25 % in the previous hour"),
        (99.9, 333.3, "ms", "▼ 70 % from 333 ms in the previous hour"),
        (Decimal("15.00"), Decimal("10.00"), "EUR", "▲ 50 % from €10.00 in the previous hour"),
    ],
)
def test_a_trend_in_words(value: Any, before: Any, unit: str, text: str) -> None:
    assert trend(value, before, unit, "hour").replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (None, "The worker has not written any rollups yet. Only the last 6 hours are complete."),
        (16, "The worker's last rollup was 16 min ago. The numbers are still complete."),
        (361, "ago. Data since then is missing, except for the last 6 hours."),
        (15, None),
    ],
)
def test_late_rollups_are_reported(staff: Client, minutes: int | None, text: str | None) -> None:
    if minutes is not None:
        RollupMark.objects.create(until=NOON - timedelta(minutes=minutes))
    page = main_text(staff)
    assert ("rollup" in page) is (text is not None)
    assert text is None or text in page


def test_errors_link_to_their_log_lines(staff: Client, settings: Settings) -> None:
    recent = [
        {"request_id": f"id-{number}", "view": "cart:view", "status": 500, "at": moment}
        for number, moment in ((1, "2026-03-01T11:57:01.5+00:00"), (2, "2026-03-01T11:57:02+00:00"))
    ]
    requests(3, 30, 2, recent=recent)
    page = main_text(staff, "1h")
    assert "1 Mar, 11:57:02 500 cart:view id-2 1 Mar, 11:57:01 500 cart:view id-1" in page
    assert "If GRAFANA_URL is set, each request id links to its log lines." in page
    settings.GRAFANA_URL = "http://grafana.example.com"
    links = re.findall(
        r'<a id="logs-id-\d" href="([^"]+)"', staff.get(PAGE, {"range": "1h"}).content.decode()
    )
    at_it = int(datetime(2026, 3, 1, 11, 57, 2, tzinfo=UTC).timestamp())
    around = [1000 * (at_it + seconds) for seconds in (-900, 900)]
    assert html.unescape(links[0]) == (
        "http://grafana.example.com/d/retail-logs"
        f"?from={around[0]}&to={around[1]}&var-request_id=id-2"
    )


def test_only_the_latest_errors_are_listed(staff: Client) -> None:
    for minutes in range(1, 40):
        recent = [
            {"request_id": f"id-{minutes}-{number}", "view": "x", "status": 500,
             "at": (NOON - timedelta(minutes=minutes)).isoformat()}
            for number in range(10)
        ]  # fmt: skip
        requests(minutes, 30, 10, recent=recent)
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    listed = re.findall(r"<code>(id-\d+)-\d+</code>", page)
    assert listed == ["id-1"] * 10 + ["id-2"] * 10


@pytest.mark.parametrize(
    "recent",
    [
        *("text", 7, {"request_id": "x"}, ["text", 7, None, [], {}]),
        [{"request_id": "x", "view": "x", "status": "many", "at": "2026-03-01T11:57:00Z"}],
        [{"request_id": "x", "view": "x", "status": 500, "at": "yesterday"}],
        [{"request_id": "x", "view": "x", "status": 500, "at": 7}],
    ],
)
def test_malformed_rows_list_no_errors(staff: Client, recent: object) -> None:
    requests(3, 30, 2, recent=recent)
    assert "2 errors; request ids no longer available." in main_text(staff)


def test_errors_without_request_ids_are_still_counted(staff: Client) -> None:
    requests(3, 30, 2)
    assert "2 errors; request ids no longer available." in main_text(staff)


def test_foreign_text_is_escaped(staff: Client) -> None:
    markup = "<script>alert(1)</script>"
    recent = [{"request_id": markup, "view": markup, "status": 500, "at": NOON.isoformat()}]
    requests(0.5, 30, 2, recent=recent)
    receive(0, alert("RetailOversold", -5, annotations={"summary": markup}))
    page = staff.get(PAGE).content.decode()
    assert markup not in page
    assert page.count("&lt;script&gt;alert(1)") == 3


def test_polling_returns_content_only_after_a_change(staff: Client) -> None:
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    (address,) = re.findall(r'hx-get="([^"]+)"', page)
    address = html.unescape(address)
    assert address.startswith(f"{PAGE}news/?range=1h&seen=")
    response = staff.get(address)
    assert (response.status_code, response.content) == (204, b"")
    requests(2, 30)
    update = staff.get(address).content.decode()
    assert "<html" not in update
    assert '<div id="details" hx-swap-oob="innerHTML">' in update
    assert '<p id="headline"' in update
    (next_address,) = re.findall(r'hx-get="([^"]+)"', update)
    assert staff.get(html.unescape(next_address)).status_code == 204


def test_charts_and_tables_show_the_same_numbers(staff: Client) -> None:
    requests(3, 100, 4)
    requests(33, 50)
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    (text,) = re.findall(r'<script id="drawable" type="application/json">(.*?)</script>', page)
    data = json.loads(text)
    assert (data["step"], len(data["steps"]), len(data["days"])) == (60, 60, 7)
    assert data["steps"][-1] == int(NOON.replace(second=0).timestamp())
    drawn = {
        f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M}": (errors, client_errors)
        for start, errors, client_errors in zip(
            data["steps"],
            data["series"]["error_rate"],
            data["series"]["client_error_rate"],
            strict=True,
        )
        if errors is not None
    }
    assert drawn == {"2026-03-01 11:27": (0, 0), "2026-03-01 11:57": (4, 0)}
    (figure,) = re.findall(r'id="chart-errors".*?</figure>', page, flags=re.DOTALL)
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td></tr>', figure)
    assert len(rows) == 60
    assert [row for row in rows if row[1] != "–"] == [  # noqa: RUF001 - an en dash
        ("2026-03-01 11:57", "4.00", "0.00"),
        ("2026-03-01 11:27", "0.00", "0.00"),
    ]
    for chart in data["charts"]:
        assert f'id="chart-{chart["key"]}"' in page


QUERIES = {"sqlite": 48, "postgresql": 49}  # reads per page, for every range
MORE = {"sqlite": 2, "postgresql": 4}  # of them with data: the latest errors, refused buyers, rows


def reads(captured: CaptureQueriesContext) -> int:
    """Return the number of reads. PostgreSQL also sets time limits, within savepoints."""
    return sum(query["sql"].startswith(("SELECT", "EXECUTE")) for query in captured)


@pytest.mark.parametrize("name", RANGES)
def test_the_number_of_queries_does_not_grow_with_the_data(staff: Client, name: str) -> None:
    rollups.roll_up(NOON)
    staff.get(PAGE)
    with CaptureQueriesContext(connection) as empty:
        staff.get(PAGE, {"range": name})
    for minutes in range(1, 3000, 60):
        requests(minutes, 30, 3, recent=[])
    settled(3, 30, 5)
    receive(0, *(alert("Retail", -2, fingerprint=f"{number:016}") for number in range(30)))
    rollups.roll_up(NOON)
    with CaptureQueriesContext(connection) as full:
        staff.get(PAGE, {"range": name})
    assert reads(empty) < reads(full) <= reads(empty) + MORE[connection.vendor]
    assert reads(full) <= QUERIES[connection.vendor]
