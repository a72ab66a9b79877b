"""The alerts page: access, its texts in each state, and what it must not show."""

import html
import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries, Settings

from oncall import selectors
from oncall.services import lost_record
from payments import breaker
from retail.health import health
from retail.models import WorkerHeartbeat
from tests.oncall.support import alert, at, receive
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

PAGES = ["/metrics/alerts/", "/metrics/alerts/list/", "/metrics/runbooks/"]


@pytest.fixture(autouse=True)
def _it_is_noon(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    monkeypatch.setattr("oncall.views.timezone.now", lambda: at(0))
    (tmp_path / "RetailOversold.md").write_text("# RetailOversold\n")
    settings.RUNBOOKS_DIR = tmp_path
    settings.ALERT_RECEIVERS = {"e-mail": False, "Slack": False, "PagerDuty": False}
    WorkerHeartbeat.objects.create(worker="w", seen_at=at(0))  # so the shop finds no problem


def main_text(client: Client, path: str = "/metrics/alerts/") -> str:
    """Return the text of a page's main part."""
    response = client.get(path)
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", f"<{main}")).split())


@pytest.mark.parametrize("path", [*PAGES, "/metrics/runbooks/RetailOversold/"])
def test_only_staff_have_access(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path).status_code == 200
    assert staff.head(path).status_code == 200
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
    client.force_login(make_buyer("customer"))
    assert client.get(path).status_code == 403


def test_polling_without_a_session_reloads_the_page(client: Client) -> None:
    response = client.get("/metrics/alerts/list/", headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Refresh"]) == (401, "true")


def test_staff_see_links_to_the_pages(admin_client: Client, client: Client) -> None:
    assert 'href="/metrics/alerts/"' in admin_client.get("/").content.decode()
    page = admin_client.get("/admin/").content.decode()
    assert 'href="/metrics/alerts/"' in page
    assert 'href="/metrics/runbooks/"' in page
    client.force_login(make_buyer("customer"))
    assert "/metrics/" not in client.get("/").content.decode()


def test_without_any_heartbeat_alerting_is_not_connected(staff: Client) -> None:
    page = main_text(staff)
    assert "Alerting is not connected No heartbeat has arrived from Alertmanager yet." in page
    assert "docker compose up -d" in page
    assert "Last heartbeat never" in page
    assert "No alerts received yet." in page


def test_with_a_heartbeat_nothing_is_being_missed(staff: Client) -> None:
    receive(-4, alert("Watchdog"))
    page = main_text(staff)
    assert (
        "No alerts firing Alertmanager's last heartbeat arrived 4 min ago, "
        "so nothing is being missed."
    ) in page
    assert "No alerts resolved in the last 7 days." in page


def test_a_late_heartbeat_is_reported(staff: Client) -> None:
    receive(-75, alert("Watchdog"))
    page = main_text(staff)
    assert (
        "Alerting is not connected Alertmanager's last heartbeat arrived 1 h 15 min ago. "
        "Since then, this page may have missed that an alert started, or that one has ended."
    ) in page


def test_firing_alerts_come_first_sorted_by_severity(staff: Client) -> None:
    receive(-1, alert("Watchdog"))
    for name, severity, start in (
        ("RetailTicket", "ticket", -2),
        ("RetailOdd", "", -3),
        ("RetailWarning", "warning", -4),
        ("RetailOversold", "critical", -30),
        ("RetailYounger", "critical", -5),
        ("RetailPage", "page", -6),
    ):
        receive(-1, alert(name, start, labels={"severity": severity}))
    receive(-1, alert("RetailEnded", -90, -15))
    page = staff.get("/metrics/alerts/").content.decode()
    assert re.findall(r"<h3>(\w+)</h3>", page) == [
        *("RetailYounger", "RetailOversold", "RetailPage"),
        *("RetailWarning", "RetailTicket", "RetailOdd"),
    ]
    assert "6 alerts firing 2 critical, 1 page, 1 warning, 1 ticket, 1 no severity" in main_text(
        staff
    )
    assert "For 30 min , since 1 Mar 2026, 11:30 UTC · shop · from Prometheus" in main_text(staff)
    assert "RetailEnded 1 Mar 2026, 11:45 UTC critical 1 h 15 min" in main_text(staff)


@pytest.mark.parametrize(
    ("severity", "disconnected", "state"),
    [
        (None, False, "good"),
        (None, True, "warn"),
        ("warning", False, "warn"),
        ("page", False, "bad"),
        ("critical", True, "bad"),
    ],
)
def test_the_state_is_that_of_the_most_severe_alert(
    severity: str | None, disconnected: bool, state: str
) -> None:
    if not disconnected:
        receive(-1, alert("Watchdog"))
    if severity:
        receive(-1, alert(labels={"severity": severity}, start=-2))
    assert selectors.alerts_now(now=at(0)).state == state


@pytest.mark.parametrize(
    ("severity", "minutes"),
    [("critical", 60 + 35), ("warning", 240 + 35), ("page", 240 + 35), ("ticket", 1440 + 35)],
)
def test_an_alert_that_is_not_repeated_is_stale(staff: Client, severity: str, minutes: int) -> None:
    labels = {"severity": severity}
    receive(-minutes, alert("RetailOversold", -3000, labels=labels))
    assert "No update since" not in main_text(staff)
    receive(-minutes - 1, alert("RetailTargetDown", -3000, labels=labels))
    assert "No update since" in main_text(staff)


def test_only_web_addresses_become_links(staff: Client) -> None:
    annotations = {
        "runbook_url": "https://docs.example.com/RetailOther",
        "dashboard_url": "http://localhost:3000/d/shop?a=1&b=2",
        "logs_url": "javascript:alert(1)",
        "summary": "<script>alert(1)</script>",
    }
    receive(-1, alert("RetailOversold", annotations=annotations))
    receive(-1, alert("RetailOther", annotations=annotations))
    page = staff.get("/metrics/alerts/").content.decode()
    links = re.findall(r'<a id="(\w+)-\d+" class="[^"]+" href="([^"]+)"', page)
    dashboard = ("dashboard", "http://localhost:3000/d/shop?a=1&amp;b=2")
    assert sorted(links) == sorted(
        [
            *(dashboard, dashboard),
            ("runbook", "/metrics/runbooks/RetailOversold/"),
            ("runbook", "https://docs.example.com/RetailOther"),
        ]
    )
    assert "javascript:" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in page


def test_receivers_are_listed(staff: Client, settings: Settings) -> None:
    assert "Notifications this page only" in main_text(staff)
    assert "No one is notified when an alert fires." in main_text(staff)
    settings.ALERT_RECEIVERS = {"e-mail": True, "Slack": False, "PagerDuty": True}
    assert "Notifications e-mail, PagerDuty" in main_text(staff)
    assert "No one is notified" not in main_text(staff)


def test_polling_returns_the_list_only_after_a_change(staff: Client) -> None:
    (address,) = re.findall(r'hx-get="([^"]+)"', staff.get("/metrics/alerts/").content.decode())
    response = staff.get(address)
    assert (response.status_code, response.content) == (204, b"")
    receive(-1, alert(start=-2))
    update = staff.get(address).content.decode()
    assert "<h3>RetailOversold</h3>" in update
    assert '<p id="alerts-headline"' in update
    assert "<html" not in update
    (next_address,) = re.findall(r'hx-get="([^"]+)"', update)
    assert next_address != address
    assert staff.get(next_address).status_code == 204


def test_many_alerts_are_cut_off_and_need_no_more_queries(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    main_text(staff)
    with CaptureQueriesContext(connection) as empty:
        main_text(staff)
    receive(-1, *(alert("Retail", -2, fingerprint=f"{number:016}") for number in range(201)))
    receive(-1, *(alert("Retail", -9, -5, fingerprint=f"r{number:015}") for number in range(60)))
    with django_assert_num_queries(len(empty)):
        page = main_text(staff)
    assert "More than 200 alerts firing" in page
    assert "Only the 200 most severe alerts are shown." in page
    assert page.count(" 4 min") == 50


def test_labels_tell_alerts_of_one_rule_apart(staff: Client) -> None:
    receive(-1, alert("Watchdog"))
    for job in ("web", "worker"):
        labels = {"job": job, "severity": "critical", "instance": f"{job}:8000"}
        receive(-1, alert("RetailTargetDown", -2, labels=labels, fingerprint=job))
    receive(-1, alert("RetailFeedStale", -9, -5, labels={"partner": "acme"}))
    page = main_text(staff)
    assert "RetailTargetDown, in a sentence instance=web:8000, job=web For" in page
    assert "RetailTargetDown, in a sentence instance=worker:8000, job=worker For" in page
    assert "RetailFeedStale partner=acme 1 Mar 2026, 11:55 UTC" in page
    dashboard = main_text(staff, "/metrics/dashboard/")
    assert "RetailTargetDown instance=web:8000, job=web for" in dashboard


def test_lost_alerts_are_shown_with_when_and_what_until_all_are_repeated(staff: Client) -> None:
    receive(-1, alert("Watchdog"))
    assert selectors.alerts_now(now=at(0)).state == "good"
    lost_record(reason="cut", count=7, detail="max_alerts", now=at(-2))
    lost_record(reason="refused", count=None, detail="Send at most 1 MB", now=at(-1.5))
    lost_record(reason="unreadable", count=1, detail="alerts[1] must", now=at(-24 * 60 - 36))
    page = main_text(staff)
    assert "but some alerts could not be stored. They may still be firing." in page
    assert "so nothing is being missed" not in page
    assert "1 Mar 2026, 11:58:00 UTC : 7 alerts, left out by Alertmanager. max_alerts" in page
    assert "11:58:30 UTC : a whole notification, notification refused. Send at most 1 MB" in page
    assert "alerts[1] must" not in page
    assert selectors.alerts_now(now=at(0)).state == "warn"
    monitoring = {check.name: check.finding for check in health(at(0))}["Monitoring"]
    assert (monitoring.state, monitoring.word) == ("warn", "alerts lost")


def test_an_alert_that_ended_when_the_data_did_may_still_be_firing(staff: Client) -> None:
    # Prometheus dies: four minutes later, Alertmanager ends all of its alerts.
    receive(-30, alert("Watchdog"))
    receive(-29, alert("RetailOversold", -90, -31))
    receive(-29, alert("RetailTargetDown", -90, -30))
    page = main_text(staff)
    may_fire, _, ended = page.partition("Resolved in the last 7 days")
    assert "May still be firing" in may_fire
    assert "RetailTargetDown 1 Mar 2026, 11:30 UTC" in may_fire
    assert "RetailOversold 1 Mar 2026, 11:29 UTC" in ended
    receive(-1, alert("Watchdog"))  # and Prometheus does not report it again
    assert "May still be firing" not in main_text(staff)


def test_the_shops_own_findings_need_no_alertmanager(staff: Client) -> None:
    for _ in range(5):
        breaker.report(breaker.acquire("x"), succeeded=False)
    page = main_text(staff)
    assert "Alerting is not connected; the shop itself finds" in page
    assert "Found by the shop itself Circuit breaker open Opened" in page
    assert "0 buyers refused, in 0 checkouts" in page
    assert "Next step: Check the payment gateway" in page
    assert 'class="verdict is-bad"' in staff.get("/metrics/alerts/").content.decode()
