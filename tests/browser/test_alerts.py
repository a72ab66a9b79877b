"""Alerts and runbooks in the browser: each state of the list, and its updates."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import ALERTS_TOKEN, PASSWORD, ShopWithoutDebug, Visitor

LIST = "/metrics/alerts/"
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
STAFF = f"""
from django.contrib.auth.models import User
User.objects.create_user("on-call", password="{PASSWORD}", is_staff=True)
"""
DELETE_ALERTS = """
from oncall.models import Alert, AlertFeed, LostAlerts
LostAlerts.objects.all().delete()
Alert.objects.all().delete()
AlertFeed.objects.all().delete()
"""
NINE_HOURS_AGO = """
from datetime import timedelta
from django.utils import timezone
from oncall.models import Alert, AlertFeed
AlertFeed.objects.update(heartbeat_at=timezone.now() - timedelta(hours=9))
Alert.objects.filter(name="RetailOversold").update(updated_at=timezone.now() - timedelta(hours=9))
"""
RUNBOOK = f"""# RetailOversold

Read [the other runbook](OtherAlert.md).

```promql
{"max(retail_oversold_units) or " * 9}vector(0)
```

| query | {"what it shows | " * 6}
|---|{"---|" * 6}
| `max(retail_oversold_units)` | {"a long text, " * 9}|
"""
CRITICAL = ("RetailOversold", "critical", "3 units more were sold than were ever put on sale")
WARNING = ("RetailCircuitBreakerOpen", "warning", "Checkouts are refused at once")
TICKET = ("RetailAlertWithAVeryLongNameThatDoesNotFitOnAnyPhone" * 2, "ticket", "wide " * 60)
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
FIRING = "[aria-labelledby='firing-title']"
POLL = "htmx.trigger('#alerts', 'seen-again')"


def alert(rule: tuple[str, str, str], began: float, ended: float | None = None) -> dict[str, Any]:
    """Return an alert as Alertmanager sends it, which began and ended so many minutes ago."""
    now = datetime.now(UTC)
    name, severity, summary = rule
    return {
        "status": "firing" if ended is None else "resolved",
        "labels": {"alertname": name, "severity": severity, "service": "shop"},
        "annotations": {
            "summary": summary,
            "description": f"First steps:\n1. docker compose ps\n2. http://localhost/{'x' * 90}",
            "dashboard_url": "http://localhost:3000/d/shop",
            "logs_url": "http://localhost:3000/explore",
        },
        "startsAt": (now - timedelta(minutes=began)).isoformat(),
        "endsAt": (now - timedelta(minutes=ended or 0)).isoformat(),
        "generatorURL": "",
        "fingerprint": name[:40],
    }


def notify(shop: ShopWithoutDebug, *alerts: dict[str, Any]) -> None:
    """Send alerts and a heartbeat to the shop."""
    heartbeat = alert(("Watchdog", "none", ""), 60)
    response = requests.post(
        shop.url + LIST,
        json={"version": "4", "alerts": [heartbeat, *alerts]},
        headers={"Authorization": f"Bearer {ALERTS_TOKEN}", "Host": "web.internal:8000"},
        timeout=30,
    )
    assert response.status_code == 200, response.text


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop with an on-call user and runbooks."""
    running_shop.run(STAFF)
    folder = running_shop.folder / "runbooks"
    if RUNBOOKS.exists():
        shutil.copytree(RUNBOOKS, folder)
    folder.mkdir(exist_ok=True)
    (folder / "RetailOversold.md").write_text(RUNBOOK, encoding="utf-8")
    (folder / "OtherAlert.md").write_text("# OtherAlert\n", encoding="utf-8")
    return running_shop


@pytest.fixture
def on_call(visitor: OpenVisitor, staffed_shop: ShopWithoutDebug) -> Visitor:
    """Return a staff member who views the list before any alert has arrived."""
    staffed_shop.run(DELETE_ALERTS)
    staff = visitor(customer=False)
    staff.open(LIST)
    staff.page.get_by_label("Username").fill("on-call")
    staff.page.get_by_label("Password").fill(PASSWORD)
    staff.press("Log in")
    staff.is_at(LIST)
    return staff


def test_the_list_in_every_state(
    on_call: Visitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    on_call.reads("No heartbeat has arrived from Alertmanager yet")
    on_call.reads("Next step: Start the worker")  # what the shop finds itself
    examine(on_call.page, "alerts-no-heartbeat", pictures)
    notify(staffed_shop)
    on_call.open(LIST)
    on_call.reads("so nothing is being missed")
    examine(on_call.page, "alerts-empty", pictures)
    notify(staffed_shop, alert(WARNING, 3), alert(CRITICAL, 72), alert(TICKET, 3000))
    on_call.open(LIST)
    on_call.reads("1 critical, 1 warning, 1 ticket")
    expect(on_call.page.locator(f"{FIRING} h3").first).to_have_text("RetailOversold")
    examine(on_call.page, "alerts-firing", pictures)
    staffed_shop.run(NINE_HOURS_AGO)
    on_call.open(LIST)
    on_call.reads("Alertmanager's last heartbeat arrived 9 h ago.")
    on_call.reads("No update since")
    examine(on_call.page, "alerts-stale", pictures)
    refused = requests.post(
        staffed_shop.url + LIST.rstrip("/"),  # without the last slash, too, it is no redirect
        data=b"{",
        headers={"Authorization": f"Bearer {ALERTS_TOKEN}", "Host": "web.internal:8000"},
        timeout=30,
        allow_redirects=False,
    )
    assert refused.status_code == 400
    on_call.open(LIST)
    on_call.reads("a whole notification, notification refused. The body must be JSON.")
    examine(on_call.page, "alerts-lost", pictures)
    notify(staffed_shop, alert(WARNING, 3, 1), alert(CRITICAL, 72, 2), alert(TICKET, 3000, 20))
    on_call.open(LIST)
    expect(on_call.page.locator("#verdict-title")).to_contain_text("No alerts firing")
    expect(on_call.page.locator("tbody tr")).to_have_count(3)
    examine(on_call.page, "alerts-resolved", pictures)


def test_the_list_updates_itself_and_keeps_focus_and_open_parts(
    on_call: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    page = on_call.page
    expect(page.locator("#alerts")).to_have_attribute("hx-trigger", "every 10s, seen-again")
    notify(staffed_shop, alert(CRITICAL, 5))
    expect(page.locator(f"{FIRING} h3")).to_have_text(
        "RetailOversold"
    )  # without a reload, within ten seconds
    expect(page.get_by_role("status")).to_contain_text("1 alert firing")
    steps = page.locator("details")
    expect(steps).to_have_attribute("open", "")
    page.get_by_text("First steps", exact=True).click()
    page.get_by_role("link", name="Logs").focus()
    notify(staffed_shop, alert(WARNING, 2))
    page.evaluate(POLL)
    expect(page.locator(f"{FIRING} h3")).to_have_text(
        ["RetailOversold", "RetailCircuitBreakerOpen"]
    )
    focused = page.evaluate("document.activeElement.id.split('-')[0]")
    assert focused == "logs"
    expect(steps.first).not_to_have_attribute("open", "")  # as the user left it
    notify(staffed_shop, alert(CRITICAL, 5, 1))
    page.evaluate(POLL)
    expect(page.locator("tbody th")).to_have_text("RetailOversold")


def test_a_hidden_page_does_not_poll(on_call: Visitor, staffed_shop: ShopWithoutDebug) -> None:
    page = on_call.page
    polled: list[str] = []
    page.on("request", lambda sent: polled.append(sent.url) if "/metrics/" in sent.url else None)
    page.evaluate(HIDE, True)
    notify(staffed_shop, alert(CRITICAL, 5))
    page.evaluate(POLL)
    page.evaluate(POLL)
    assert polled == []
    page.evaluate(HIDE, False)  # visible again, it polls at once
    expect(page.locator(f"{FIRING} h3")).to_have_text("RetailOversold")
    assert len(polled) == 1


def test_a_failed_update_is_reported(on_call: Visitor) -> None:
    page = on_call.page
    stale = page.get_by_text("This data may be out of date")
    expect(stale).to_be_hidden()
    address = "**/metrics/alerts/list/**"
    page.route(address, lambda route: route.fulfill(status=503, body="unavailable"))
    page.evaluate(POLL)
    expect(stale).to_be_visible()
    page.unroute(address)
    page.evaluate(POLL)
    expect(stale).to_be_hidden()
    on_call.expected = [503]
    (problem,) = on_call.leave()  # htmx logs it, too
    assert problem.startswith("console: Response Status Error Code 503")


def test_a_user_logged_out_elsewhere_is_sent_to_the_login(on_call: Visitor) -> None:
    on_call.context.clear_cookies()
    on_call.page.evaluate(POLL)
    on_call.sees("Log in")
    on_call.is_at(f"/accounts/login/?next={LIST}")
    on_call.expected = [401]


def test_from_the_alert_to_its_runbook_with_the_keyboard(
    on_call: Visitor, staffed_shop: ShopWithoutDebug, pictures: Path
) -> None:
    notify(staffed_shop, alert(CRITICAL, 5))
    on_call.open(LIST)
    on_call.page.locator(FIRING).get_by_role("link", name="Runbook").focus()
    on_call.page.keyboard.press("Enter")
    on_call.is_at("/metrics/runbooks/RetailOversold/")
    on_call.sees("RetailOversold")
    examine(on_call.page, "runbook", pictures)
    on_call.follow("the other runbook")
    on_call.sees("OtherAlert")
    on_call.follow("Runbooks")
    on_call.reads("firing now")
    examine(on_call.page, "runbooks", pictures)


def test_every_runbook_can_be_read_on_a_phone(on_call: Visitor, pictures: Path) -> None:
    on_call.open("/metrics/runbooks/")
    names = on_call.page.locator(".runbook-list a").all_inner_texts()
    assert {"OtherAlert", "RetailOversold"} <= set(names)
    for name in names:
        on_call.open(f"/metrics/runbooks/{name}/")
        examine(on_call.page, f"runbook-{name}", pictures)


def test_without_scripts_the_page_reloads_itself(
    visitor: OpenVisitor, on_call: Visitor, staffed_shop: ShopWithoutDebug
) -> None:
    notify(staffed_shop, alert(CRITICAL, 5))
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(on_call.context.cookies())  # type: ignore[arg-type]
    plain.open(LIST)
    expect(plain.page.locator(f"{FIRING} h3")).to_have_text("RetailOversold")
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
