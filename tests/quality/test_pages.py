"""The quality scenarios page and its JSON: access, content and number of queries."""

import html
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from quality.catalogue import SCENARIOS
from quality.scenario import Verdict
from quality.selectors import evaluations
from quality.tasks import judge_scenarios
from retail.health import Check, Finding
from retail.models import Metric
from retail.observability.rows.recorder import recorder
from tests.quality.support import NOON, audited, order, orders, row
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

PAGE, LIST = "/metrics/quality-scenarios/", "/metrics/quality-scenarios/list/"
JSON = "/metrics/quality-scenarios.json"
TESTED = sum(scenario.evidence == "tests" for scenario in SCENARIOS)


@pytest.fixture(autouse=True)
def _it_is_noon(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setattr("quality.views.timezone.now", lambda: NOON)
    monkeypatch.setattr("quality.selectors.health", lambda _: [])
    settings.METRICS_TOKEN = "secret-token"


def main_text(client: Client, path: str = PAGE) -> str:
    """Return the text of a page's main part."""
    response = client.get(path)
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", f"<{main}")).split())


@pytest.mark.parametrize("path", [PAGE, LIST])
def test_only_staff_have_access(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path).status_code == 200
    assert staff.head(path).status_code == 200
    assert staff.post(path).status_code == 405
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
    token = {"Authorization": "Bearer secret-token"}
    assert client.get(path, headers=token).status_code == 302  # the token is for the JSON only
    client.force_login(make_buyer("customer"))
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("path", [JSON, f"{PAGE}?format=json"])
def test_the_json_accepts_the_token(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path)["Content-Type"] == "application/json"
    assert staff.post(path).status_code == 405
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert response.json()["error"]["status"] == 401
    assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(path, headers={"Authorization": "Bearer secret-token"}).status_code == 200
    client.force_login(make_buyer("customer"))
    response = client.get(path)
    assert (response.status_code, response.json()["error"]["status"]) == (403, 403)


@pytest.mark.parametrize(("debug", "status"), [(True, 200), (False, 401)])
def test_without_a_token_only_development_is_open(
    client: Client, settings: Settings, debug: bool, status: int
) -> None:
    settings.METRICS_TOKEN = ""
    settings.DEBUG = debug
    assert client.get(JSON).status_code == status
    assert client.get(PAGE).status_code == 302


@pytest.mark.parametrize("days", ["0", "2", "-1", "x", "7.0", "\u0667", "1" * 99])
def test_invalid_days_are_rejected_with_a_message(staff: Client, days: str) -> None:
    for path in (PAGE, LIST, JSON):
        response = staff.get(path, {"days": days})
        assert response.status_code == 400
        kind = "application/json" if path == JSON else "text/html; charset=utf-8"
        assert response["Content-Type"] == kind
        assert "The parameter days must be one of 1, 7, 30." in response.content.decode()
    assert response.json()["error"]["title"] == "Invalid number of days"


def test_the_board_counts_and_a1_and_a2_come_first_with_their_numbers(staff: Client) -> None:
    assert 'class="qs-board is-none"' in staff.get(PAGE).content.decode()
    audited()
    orders(20, 30, kind="flash")
    orders(18)
    order(2, status="FAILED")
    page = main_text(staff)
    results = evaluations(1, NOON).values()
    passing = sum(result.verdict == Verdict.PASS for result in results)
    assert passing >= 3  # A1, A2 and P2
    rest = len(SCENARIOS) - TESTED - passing
    counts = f"pass {passing} fail 0 no evidence {rest} tested {TESTED} "
    assert f"No scenarios failing {counts}" in page
    assert "Evaluated over the last 24 hours, since 1 Mar 2026, 13:00 UTC ." in page
    ids = re.findall(r'<article id="(\w\d)"', staff.get(PAGE).content.decode())
    assert ids == [scenario.id for scenario in SCENARIOS]
    assert "Payments completed 38 of 39 payments, 0 overdue;" in page
    assert "≥ 95 % 97.44 % met" in page
    assert "Fast-fail time, p99 0 checkouts refused by the breaker, which opened 0 times" in page
    assert "< 100 ms not exercised" in page
    assert "Files applied ≥ 1 0" in page
    assert 'class="qs-board is-good"' in staff.get(PAGE).content.decode()
    row("stock_conflicts", 1)
    orders(2, 1, status="FAILED")
    assert 'class="qs-board is-bad"' in staff.get(PAGE).content.decode()
    page = main_text(staff)
    assert "Failing: A1, A2" in page
    assert "Stock conflicts 0 1 not met" in page
    assert "≥ 95 % 92.68 % not met" in page


def test_the_page_shows_queries_tests_runbooks_and_the_trend(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON)
    orders(20)
    judge_scenarios()
    page = main_text(staff)
    assert (
        "Evaluated every minute over the last 24 hours: PASS since 2 Mar, 12:00 UTC; passed 100.0 %"
    ) in page
    assert "WHERE metric_type = 'stock_conflicts' AND timestamp >= '2026-03-01 13:00:00+00'" in page
    assert "tests/retail/web/test_problems.py::test_a_form_without_csrf_token_is_refused" in page
    content = staff.get(PAGE).content.decode()
    assert 'href="/metrics/runbooks/RetailOversold/"' in content
    assert "style=" not in content
    assert "<script>" not in content


def test_the_page_shows_which_days_it_covers(staff: Client) -> None:
    assert "Evaluated over the last 7 days, since 23 Feb 2026, 13:00" in main_text(
        staff, f"{PAGE}?days=7"
    )
    content = staff.get(f"{PAGE}?days=30").content.decode()
    assert re.findall(r'href="\?days=(\d+)" aria-current="page"', content) == ["30"]
    assert f'hx-get="{LIST}?days=30&amp;seen=' in content


def test_polling_returns_the_list_only_after_a_change(staff: Client) -> None:
    (address,) = re.findall(r'hx-get="([^"]+)"', staff.get(PAGE).content.decode())
    response = staff.get(html.unescape(address))
    assert (response.status_code, response.content) == (204, b"")
    orders(20, 5, status="FAILED")
    update = staff.get(html.unescape(address)).content.decode()
    assert "Failing: A2" in update
    assert '<p id="scenarios-headline"' in update
    assert "<html" not in update
    (next_address,) = re.findall(r'hx-get="([^"]+)"', update)
    assert staff.get(html.unescape(next_address)).status_code == 204


def test_the_json_has_everything(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quality.tasks.timezone.now", lambda: NOON)
    orders(19)
    order(2, status="FAILED")
    judge_scenarios()
    document = staff.get(JSON, {"days": "7"}).json()
    assert document["version"] == 1
    assert document["window"] == {
        "days": 7,
        "since": "2026-02-23T13:00:00+00:00",
        "until": "2026-03-02T12:00:30+00:00",
    }
    by_id = {scenario["id"]: scenario for scenario in document["scenarios"]}
    verdicts = [scenario["verdict"] for scenario in document["scenarios"]]
    assert document["counts"] == {verdict: verdicts.count(verdict) for verdict in Verdict}
    assert (document["counts"]["TESTED"], document["counts"]["FAIL"]) == (TESTED, 0)
    assert list(by_id) == [scenario.id for scenario in SCENARIOS]
    a2 = by_id["A2"]
    assert (a2["title"], a2["verdict"]) == ("Payment service resilience", "PASS")
    assert a2["measures"][0] == {
        "name": "Payments completed",
        "value": 95.0,
        "unit": "%",
        "promise": "≥ 95 %",
        "kept": True,
        "note": "19 of 20 payments, 0 overdue; not counted: 0 pending, 0 unknown",
    }
    assert a2["trend"] == {
        "verdict": "PASS",
        "since": "2026-03-02T12:00:00+00:00",
        "passed_percent": 100.0,
    }
    assert [query["language"] for query in a2["queries"]] == ["SQL", "PromQL", "PromQL"]
    assert by_id["S1"]["verdict"] == "TESTED"
    assert by_id["S1"]["trend"] is None
    assert "tests/cart/test_pages.py::test_cross_site_forms_are_refused" in by_id["S1"]["tests"]
    assert by_id["I2"]["verdict"] == "NO EVIDENCE"
    assert by_id["I2"]["reason"] == ""


def test_viewing_the_scenarios_records_no_metrics(staff: Client) -> None:
    for path in (PAGE, LIST, JSON):
        staff.get(path)
    recorder.flush()
    assert not Metric.objects.exists()


def queries_of(client: Client) -> int:
    with CaptureQueriesContext(connection) as queries:
        main_text(client)
    return len(queries)


def test_more_data_needs_no_more_queries(staff: Client) -> None:
    few = queries_of(staff)
    audited()
    orders(40)
    orders(20, kind="flash")
    for minutes in range(60):
        row("throttled_requests", minutes, scope="login")
        row("stock_conflicts", minutes)
    # The metric rows contain a flash sale, so the orders are not searched for one.
    assert queries_of(staff) == few - 2
    assert few <= (23 if connection.vendor == "sqlite" else 29)


def test_staff_see_links_to_the_page(staff: Client, client: Client) -> None:
    assert f'href="{PAGE}"' in staff.get("/metrics/alerts/").content.decode()
    User.objects.update(is_superuser=True)
    assert f'href="{PAGE}"' in staff.get("/admin/").content.decode()
    client.force_login(make_buyer("customer"))
    assert "/metrics/" not in client.get("/").content.decode()


def test_what_is_wrong_now_is_shown_beside_verdicts_that_look_back(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited()
    orders(38)
    slow = Check("Disk", Finding("warn", "filling up", ""))
    monkeypatch.setattr("quality.selectors.health", lambda _: [slow])
    assert 'class="qs-board is-good"' in staff.get(PAGE).content.decode()
    off = Check("Worker", Finding("bad", "never seen", ""))
    monkeypatch.setattr("quality.selectors.health", lambda _: [slow, off])
    assert 'class="qs-board is-bad"' in staff.get(PAGE).content.decode()
    assert "No scenarios failing; problems now: Worker pass" in main_text(staff)
