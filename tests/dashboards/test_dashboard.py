"""The dashboard: who may look, what it says of a shop that is well, ill, or empty."""

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
from tests.dashboards.reading import PAGE, RANGES, cards, seen
from tests.oncall.support import alert, hear
from tests.support import make_buyer

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


def served(
    minutes: float, count: int, errors: int = 0, milliseconds: float = 40, **more: Any
) -> None:
    """Note an interval of requests, all as slow, so many minutes before noon."""
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


def paid(minutes: float, completed: int, failed: int) -> None:
    """Settle payments so many minutes before noon."""
    from tests.quality.support import order  # noqa: PLC0415

    for number in range(completed + failed):
        payment = order(status="COMPLETED" if number < completed else "FAILED")
        when = NOON - timedelta(minutes=minutes)
        type(payment).objects.filter(pk=payment.pk).update(settled_at=when)
        type(payment.sale).objects.filter(pk=payment.sale_id).update(finished_at=when)


def well() -> None:
    """Let every part of the shop be well; its worker has just added up what was noted until now."""
    hear(0, alert("Watchdog"))
    WorkerHeartbeat.objects.create(worker="w", seen_at=NOON)
    rollups.roll_up(NOON)


@pytest.mark.parametrize("path", PAGES)
def test_only_staff_look(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path).status_code == 200
    assert staff.head(path).status_code == 200
    assert staff.post(path).status_code == 405
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
    client.force_login(make_buyer("customer"))
    assert client.get(path).status_code == 403


def test_staff_find_the_dashboard(admin_client: Client, client: Client) -> None:
    assert f'href="{PAGE}"' in admin_client.get("/").content.decode()
    assert f'href="{PAGE}"' in admin_client.get("/admin/").content.decode()
    client.force_login(make_buyer("customer"))
    assert "/metrics/" not in client.get("/").content.decode()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("name", ["", "2h", "1H", "365d", "1h\x00"])
def test_there_are_no_other_ranges(staff: Client, path: str, name: str) -> None:
    response = staff.get(path, {"range": name})
    assert response.status_code == 400
    said = html.unescape(response.content.decode())
    assert "The range must be one of 1h, 24h, 7d, 30d, 90d." in said


@pytest.mark.parametrize("name", RANGES)
def test_the_range_is_marked(staff: Client, name: str) -> None:
    page = staff.get(PAGE, {"range": name}).content.decode()
    assert re.findall(r'href="\?range=(\w+)"( aria-current="page")?', page) == [
        (one, ' aria-current="page"' if one == name else "") for one in RANGES
    ]
    assert f'href="{PAGE}csv/?range={name}"' in page


def test_an_empty_shop_says_why_there_is_nothing(staff: Client) -> None:
    well()
    assert cards(staff) == {
        "Orders": "calm: No order was confirmed in this range.",
        "Revenue": "calm: No order was confirmed, so nothing was taken.",
        "Error rate": "calm: No request was answered in this range. Limit: at most 5 %",
        "Payment success": "calm: No payment was settled in this range. Limit: at least 95 %",
        "Response time": "calm: No request was answered in this range. Limit: p95 at most 1,000 ms",
        "Refunds": "calm: The shop takes no returns yet, so there is nothing to count.",
        "Throttled": "calm: No request was answered in this range.",
        "Stock conflicts": "calm: No request was answered in this range. Limit: at most 0",
    }
    page = seen(staff)
    assert "Nothing is wrong, but nobody came by" in page
    assert "None: no request was answered in this range." in page
    assert "Not settled at this moment: 0 pending and 0 unknown" in page


def test_a_shop_that_is_well_says_so(staff: Client) -> None:
    served(3, 100)
    served(63, 50)
    paid(3, 40, 1)
    well()
    said = cards(staff, "1h")
    assert said["Error rate"] == (
        "good: normal 0.00 % The same as in the hour before 0 of 100 requests 5xx; "
        "0.00 % 4xx beside Limit: at most 5 %"
    )
    assert said["Response time"] == (
        "good: normal p50 37.5 ms p95 40.0 ms p99 40.0 ms P95: the same as in the hour before "
        "Limit: p95 at most 1,000 ms"
    ).replace("P95", "p95")
    assert said["Payment success"].startswith("good: normal 97.56 % Nothing in the hour before to")
    assert said["Stock conflicts"] == (
        "good: normal 0 The same as in the hour before Limit: at most 0"
    )
    assert said["Orders"].startswith("calm: no limit 40 ▲ from none in the hour before")
    page = seen(staff, "1h")
    assert "All is well Every number is within its limit" in page
    assert "None: all requests in this range were answered without a 5xx." in page


@pytest.mark.parametrize(
    ("count", "errors", "milliseconds", "error_rate", "speed"),
    [
        (100, 1, 500, "good: normal 1.00 %", "good: normal"),
        (100, 2, 501, "warn: raised 2.00 %", "warn: slow"),
        (100, 5, 1000, "warn: raised 5.00 %", "warn: slow"),
        (100, 6, 2600, "bad: too high 6.00 %", "bad: too slow"),
        (19, 9, 9999, "calm: too few to judge 47.37 %", "calm: too few to judge"),
    ],
)
def test_answers_are_judged_by_the_thresholds(
    staff: Client, count: int, errors: int, milliseconds: float, error_rate: str, speed: str
) -> None:
    served(3, count, errors, milliseconds)
    said = cards(staff, "1h")
    assert said["Error rate"].startswith(error_rate)
    assert said["Response time"].startswith(speed)


@pytest.mark.parametrize(
    ("completed", "failed", "said"),
    [
        (97, 3, "good: normal 97.00 %"),
        (95, 5, "warn: lowered 95.00 %"),
        (94, 6, "bad: too low 94.00 %"),
        (10, 9, "calm: too few to judge 52.63 %"),
    ],
)
def test_payments_are_judged_by_the_thresholds(
    staff: Client, completed: int, failed: int, said: str
) -> None:
    paid(3, completed, failed)
    assert cards(staff, "1h")["Payment success"].startswith(said)


def test_the_worst_stands_first_in_the_verdict(staff: Client) -> None:
    served(3, 100, 2, 2600)
    well()
    hear(0, alert("RetailOversold", -5), alert("RetailQuiet", -5, labels={"severity": "warning"}))
    page = seen(staff, "1h")
    assert (
        "2 things need you now, 2 are worth a look too slow Response time alert firing "
        "RetailOversold raised Error rate alert firing RetailQuiet "
        "RetailOversold for 5 min: RetailOversold, in a sentence"
    ) in page


def test_trends_compare_with_the_time_before(staff: Client) -> None:
    served(3, 100, 4, 80)
    served(63, 50, 1, 40)
    said = cards(staff, "1h")
    assert "▲ 2.00 points from 2.00 % in the hour before" in said["Error rate"]
    assert "p95: ▲ 100 % from 40.0 ms in the hour before" in said["Response time"]


@pytest.mark.parametrize(
    ("value", "before", "unit", "said"),
    [
        (None, 1, "orders", ""),
        (3, None, "%", "Nothing in the hour before to compare with"),
        (0, 0, "orders", "The same as in the hour before"),
        (12.344, 12.341, "%", "The same as in the hour before"),
        (3, 0, "orders", "▲ from none in the hour before"),
        (1500, 1000, "orders", "▲ 50 % from 1,000 in the hour before"),
        (998, 1000, "orders", "▼ 0.2 % from 1,000 in the hour before"),
        (0, 4, "orders", "▼ 100 % from 4 in the hour before"),
        (97.5, 99.25, "%", "▼ 1.75 points from 99.25 % in the hour before"),
        (99.9, 333.3, "ms", "▼ 70 % from 333 ms in the hour before"),
        (Decimal("15.00"), Decimal("10.00"), "EUR", "▲ 50 % from €10.00 in the hour before"),
    ],
)
def test_a_trend_in_words(value: Any, before: Any, unit: str, said: str) -> None:
    assert trend(value, before, unit, "hour").replace("\N{NO-BREAK SPACE}", " ") == said


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (None, "The worker has not added anything up yet: only the last 6 hours are complete here"),
        (16, "The worker last added up what happened 16 min ago. The numbers are complete all the"),
        (361, "ago. What came after it is missing here, except for the last 6 hours."),
        (15, None),
    ],
)
def test_late_sums_are_said(staff: Client, minutes: int | None, said: str | None) -> None:
    if minutes is not None:
        RollupMark.objects.create(until=NOON - timedelta(minutes=minutes))
    page = seen(staff)
    assert ("added" in page) is (said is not None)
    assert said is None or said in page


def test_errors_lead_to_their_log_lines(staff: Client, settings: Settings) -> None:
    told = [
        {"request_id": f"id-{number}", "view": "cart:view", "status": 500, "at": moment}
        for number, moment in ((1, "2026-03-01T11:57:01.5+00:00"), (2, "2026-03-01T11:57:02+00:00"))
    ]
    served(3, 30, 2, recent=told)
    page = seen(staff, "1h")
    assert "1 Mar, 11:57:02 500 cart:view id-2 1 Mar, 11:57:01 500 cart:view id-1" in page
    assert "with GRAFANA_URL set it would be a link" in page
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


def test_not_more_errors_than_anybody_reads(staff: Client) -> None:
    for minutes in range(1, 40):
        told = [
            {"request_id": f"id-{minutes}-{number}", "view": "x", "status": 500,
             "at": (NOON - timedelta(minutes=minutes)).isoformat()}
            for number in range(10)
        ]  # fmt: skip
        served(minutes, 30, 10, recent=told)
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    found = re.findall(r"<code>(id-\d+)-\d+</code>", page)
    assert found == ["id-1"] * 10 + ["id-2"] * 10


@pytest.mark.parametrize(
    "recent",
    [
        *("text", 7, {"request_id": "x"}, ["text", 7, None, [], {}]),
        [{"request_id": "x", "view": "x", "status": "many", "at": "2026-03-01T11:57:00Z"}],
        [{"request_id": "x", "view": "x", "status": 500, "at": "yesterday"}],
        [{"request_id": "x", "view": "x", "status": 500, "at": 7}],
    ],
)
def test_rows_that_make_no_sense_name_no_errors(staff: Client, recent: object) -> None:
    served(3, 30, 2, recent=recent)
    assert "2 answers were 5xx, but their request ids are gone." in seen(staff)


def test_errors_without_names_are_not_denied(staff: Client) -> None:
    served(3, 30, 2)
    assert "2 answers were 5xx, but their request ids are gone." in seen(staff)


def test_what_others_wrote_is_shown_as_text(staff: Client) -> None:
    nasty = "<script>alert(1)</script>"
    told = [{"request_id": nasty, "view": nasty, "status": 500, "at": NOON.isoformat()}]
    served(0.5, 30, 2, recent=told)
    hear(0, alert("RetailOversold", -5, annotations={"summary": nasty}))
    page = staff.get(PAGE).content.decode()
    assert nasty not in page
    assert page.count("&lt;script&gt;alert(1)") == 3


def test_the_page_asks_for_news_and_gets_them_only_if_there_are(staff: Client) -> None:
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    (asked,) = re.findall(r'hx-get="([^"]+)"', page)
    asked = html.unescape(asked)
    assert asked.startswith(f"{PAGE}news/?range=1h&seen=")
    response = staff.get(asked)
    assert (response.status_code, response.content) == (204, b"")
    served(2, 30)
    news = staff.get(asked).content.decode()
    assert "<html" not in news
    assert '<div id="below" hx-swap-oob="innerHTML">' in news
    assert '<p id="said"' in news
    (again,) = re.findall(r'hx-get="([^"]+)"', news)
    assert staff.get(html.unescape(again)).status_code == 204


def test_charts_and_tables_have_the_same_numbers(staff: Client) -> None:
    served(3, 100, 4)
    served(33, 50)
    page = staff.get(PAGE, {"range": "1h"}).content.decode()
    (text,) = re.findall(r'<script id="drawable" type="application/json">(.*?)</script>', page)
    data = json.loads(text)
    assert (data["step"], len(data["steps"]), len(data["days"])) == (60, 60, 7)
    assert data["steps"][-1] == int(NOON.replace(second=0).timestamp())
    drawn = {
        f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M}": (errors, refused)
        for when, errors, refused in zip(
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
    assert [row for row in rows if row[1] != "–"] == [  # noqa: RUF001 - a dash it is
        ("2026-03-01 11:57", "4.00", "0.00"),
        ("2026-03-01 11:27", "0.00", "0.00"),
    ]
    for chart in data["charts"]:
        assert f'id="chart-{chart["key"]}"' in page


QUERIES = 28  # of a page, whatever the range


@pytest.mark.parametrize("name", RANGES)
def test_a_page_costs_the_same_queries_however_much_there_is(staff: Client, name: str) -> None:
    rollups.roll_up(NOON)
    staff.get(PAGE)
    with CaptureQueriesContext(connection) as empty:
        staff.get(PAGE, {"range": name})
    for minutes in range(1, 3000, 60):
        served(minutes, 30, 3, recent=[])
    paid(3, 30, 5)
    hear(0, *(alert("Retail", -2, fingerprint=f"{number:016}") for number in range(30)))
    rollups.roll_up(NOON)
    with CaptureQueriesContext(connection) as full:
        staff.get(PAGE, {"range": name})
    assert len(empty) < len(full) <= len(empty) + 1  # the latest errors are looked for
    assert len(full) <= QUERIES
