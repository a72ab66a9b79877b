"""The page of alerts: who may look, what it says, what it never shows."""

import html
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from oncall import selectors
from tests.oncall.support import alert, at, hear
from tests.support import make_buyer

pytestmark = pytest.mark.django_db

PAGES = ["/metrics/alerts/", "/metrics/alerts/list/", "/metrics/runbooks/"]


@pytest.fixture
def staff(client: Client) -> Client:
    """Return somebody who may look; of the staff, without any permission."""
    somebody = make_buyer("staff")
    User.objects.filter(pk=somebody.pk).update(is_staff=True)
    client.force_login(somebody)
    return client


@pytest.fixture(autouse=True)
def _it_is_noon(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path) -> None:
    monkeypatch.setattr("oncall.views.timezone.now", lambda: at(0))
    (tmp_path / "RetailOversold.md").write_text("# RetailOversold\n")
    settings.RUNBOOKS_DIR = tmp_path
    settings.ALERT_RECEIVERS = {"e-mail": False, "Slack": False, "PagerDuty": False}


def seen(client: Client, path: str = "/metrics/alerts/") -> str:
    """Return what a page's main part says, without markup."""
    response = client.get(path)
    assert response.status_code == 200
    main = response.content.decode().partition("<main")[2].partition("</main>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", f"<{main}")).split())


@pytest.mark.parametrize("path", [*PAGES, "/metrics/runbooks/RetailOversold/"])
def test_only_staff_look(client: Client, staff: Client, path: str) -> None:
    assert staff.get(path).status_code == 200
    assert staff.head(path).status_code == 200
    client.logout()
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={path}")
    client.force_login(make_buyer("customer"))
    assert client.get(path).status_code == 403


def test_a_page_whose_log_in_ended_is_loaded_anew(client: Client) -> None:
    response = client.get("/metrics/alerts/list/", headers={"HX-Request": "true"})
    assert (response.status_code, response["HX-Refresh"]) == (401, "true")


def test_staff_find_the_pages(admin_client: Client, client: Client) -> None:
    assert 'href="/metrics/alerts/"' in admin_client.get("/").content.decode()
    page = admin_client.get("/admin/").content.decode()
    assert 'href="/metrics/alerts/"' in page
    assert 'href="/metrics/runbooks/"' in page
    client.force_login(make_buyer("customer"))
    assert "/metrics/" not in client.get("/").content.decode()


def test_a_shop_that_was_never_told_anything_says_what_that_means(staff: Client) -> None:
    page = seen(staff)
    assert "Nobody would tell you The watch has never been heard from" in page
    assert "docker compose up -d" in page
    assert "Heartbeat never heard" in page
    assert "None: nothing was ever told to this page." in page


def test_quiet_with_a_heartbeat_is_real(staff: Client) -> None:
    hear(-4, alert("Watchdog"))
    page = seen(staff)
    assert (
        "Nothing is firing The watch was last heard from 4 min ago, so this quiet is real." in page
    )
    assert "None: nothing that fired has ended in these days." in page


def test_a_heartbeat_that_stopped_is_said(staff: Client) -> None:
    hear(-75, alert("Watchdog"))
    page = seen(staff)
    assert "Nobody would tell you The watch was last heard from 1 h 15 min ago." in page


def test_what_fires_stands_first_the_worst_first(staff: Client) -> None:
    hear(-1, alert("Watchdog"))
    for name, severity, start in (
        ("RetailTicket", "ticket", -2),
        ("RetailOdd", "", -3),
        ("RetailWarning", "warning", -4),
        ("RetailOversold", "critical", -30),
        ("RetailYounger", "critical", -5),
        ("RetailPage", "page", -6),
    ):
        hear(-1, alert(name, start, labels={"severity": severity}))
    hear(-1, alert("RetailEnded", -90, -15))
    page = staff.get("/metrics/alerts/").content.decode()
    assert re.findall(r"<h3>(\w+)</h3>", page) == [
        *("RetailYounger", "RetailOversold", "RetailPage"),
        *("RetailWarning", "RetailTicket", "RetailOdd"),
    ]
    assert "6 alerts firing 2 critical, 1 page, 1 warning, 1 ticket, 1 no severity" in seen(staff)
    assert "For 30 min , since 1 Mar 2026, 11:30 UTC · shop · told by Prometheus" in seen(staff)
    assert "RetailEnded 1 Mar 2026, 11:45 UTC critical 1 h 15 min" in seen(staff)


@pytest.mark.parametrize(
    ("severity", "blind", "state"),
    [
        (None, False, "good"),
        (None, True, "warn"),
        ("warning", False, "warn"),
        ("page", False, "bad"),
        ("critical", True, "bad"),
    ],
)
def test_the_colour_is_that_of_the_worst(severity: str | None, blind: bool, state: str) -> None:
    if not blind:
        hear(-1, alert("Watchdog"))
    if severity:
        hear(-1, alert(labels={"severity": severity}, start=-2))
    assert selectors.alerts_now(now=at(0)).state == state


@pytest.mark.parametrize(
    ("severity", "minutes"),
    [("critical", 60 + 35), ("warning", 240 + 35), ("page", 240 + 35), ("ticket", 1440 + 35)],
)
def test_what_is_not_said_again_is_doubted(staff: Client, severity: str, minutes: int) -> None:
    labels = {"severity": severity}
    hear(-minutes, alert("RetailOversold", -3000, labels=labels))
    assert "Not heard of since" not in seen(staff)
    hear(-minutes - 1, alert("RetailTargetDown", -3000, labels=labels))
    assert "Not heard of since" in seen(staff)


def test_links_lead_to_the_web_and_nowhere_else(staff: Client) -> None:
    annotations = {
        "runbook_url": "https://docs.example.com/RetailOther",
        "dashboard_url": "http://localhost:3000/d/shop?a=1&b=2",
        "logs_url": "javascript:alert(1)",
        "summary": "<script>alert(1)</script>",
    }
    hear(-1, alert("RetailOversold", annotations=annotations))
    hear(-1, alert("RetailOther", annotations=annotations))
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


def test_it_says_who_is_told(staff: Client, settings: Settings) -> None:
    assert "Who is told only this page: no human receiver configured" in seen(staff)
    assert "Nobody is woken up by an alert." in seen(staff)
    settings.ALERT_RECEIVERS = {"e-mail": True, "Slack": False, "PagerDuty": True}
    assert "Who is told e-mail, PagerDuty" in seen(staff)
    assert "woken up" not in seen(staff)


def test_the_list_is_sent_only_if_it_is_news(staff: Client) -> None:
    (asked,) = re.findall(r'hx-get="([^"]+)"', staff.get("/metrics/alerts/").content.decode())
    response = staff.get(asked)
    assert (response.status_code, response.content) == (204, b"")
    hear(-1, alert(start=-2))
    news = staff.get(asked).content.decode()
    assert "<h3>RetailOversold</h3>" in news
    assert '<p id="alerts-said"' in news
    assert "<html" not in news
    (next_asked,) = re.findall(r'hx-get="([^"]+)"', news)
    assert next_asked != asked
    assert staff.get(next_asked).status_code == 204


def test_many_alerts_cost_no_more_queries_and_end_somewhere(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(5):  # session with user, cart, and three of ours
        seen(staff)
    hear(-1, *(alert("Retail", -2, fingerprint=f"{number:016}") for number in range(201)))
    hear(-1, *(alert("Retail", -9, -5, fingerprint=f"r{number:015}") for number in range(60)))
    with django_assert_num_queries(5):
        page = seen(staff)
    assert "200 and more alerts firing" in page
    assert "Only the worst 200 are shown." in page
    assert page.count(" 4 min") == 50
