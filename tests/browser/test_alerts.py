"""Staff look at alerts and runbooks: each state of the list, and how it follows what happens."""

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
WRITTEN = Path(__file__).parents[2] / "docs" / "runbooks"
STAFF = f"""
from django.contrib.auth.models import User
User.objects.create_user("on-call", password="{PASSWORD}", is_staff=True)
"""
FORGET = """
from oncall.models import Alert, AlertFeed
Alert.objects.all().delete()
AlertFeed.objects.all().delete()
"""
LONG_AGO = """
from datetime import timedelta
from django.utils import timezone
from oncall.models import Alert, AlertFeed
AlertFeed.objects.update(heartbeat_at=timezone.now() - timedelta(hours=9))
Alert.objects.filter(name="RetailOversold").update(updated_at=timezone.now() - timedelta(hours=9))
"""
RUNBOOK = f"""# RetailOversold

Read [the other one](OtherAlert.md).

```promql
{"max(retail_oversold_units) or " * 9}vector(0)
```

| query | {"what it says | " * 6}
|---|{"---|" * 6}
| `max(retail_oversold_units)` | {"a long story, " * 9}|
"""
CRITICAL = ("RetailOversold", "critical", "3 units more were sold than were ever put on sale")
WARNING = ("RetailCircuitBreakerOpen", "warning", "Checkouts are refused at once")
TICKET = ("RetailAlertWithAVeryLongNameThatDoesNotFitOnAnyPhone" * 2, "ticket", "wide " * 60)
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
ASK = "htmx.trigger('#alerts', 'seen-again')"


def story(alert: tuple[str, str, str], began: float, ended: float | None = None) -> dict[str, Any]:
    """Return what Alertmanager says of an alert that began and ended so many minutes ago."""
    now = datetime.now(UTC)
    name, severity, summary = alert
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


def tell(shop: ShopWithoutDebug, *alerts: dict[str, Any]) -> None:
    """Tell the shop of alerts, and that the watch is there."""
    heartbeat = story(("Watchdog", "none", ""), 60)
    answer = requests.post(
        shop.url + LIST,
        json={"version": "4", "alerts": [heartbeat, *alerts]},
        headers={"Authorization": f"Bearer {ALERTS_TOKEN}", "Host": "web.internal:8000"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="session")
def watched_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop, with somebody on call and with runbooks."""
    running_shop.run(STAFF)
    folder = running_shop.folder / "runbooks"
    if WRITTEN.exists():
        shutil.copytree(WRITTEN, folder)
    folder.mkdir(exist_ok=True)
    (folder / "RetailOversold.md").write_text(RUNBOOK, encoding="utf-8")
    (folder / "OtherAlert.md").write_text("# OtherAlert\n", encoding="utf-8")
    return running_shop


@pytest.fixture
def on_call(visitor: OpenVisitor, watched_shop: ShopWithoutDebug) -> Visitor:
    """Return somebody of the staff who looks at a list that never was told anything."""
    watched_shop.run(FORGET)
    somebody = visitor(customer=False)
    somebody.open(LIST)
    somebody.page.get_by_label("Username").fill("on-call")
    somebody.page.get_by_label("Password").fill(PASSWORD)
    somebody.press("Log in")
    somebody.is_at(LIST)
    return somebody


def test_the_list_in_every_state(
    on_call: Visitor, watched_shop: ShopWithoutDebug, pictures: Path
) -> None:
    on_call.reads("The watch has never been heard from")
    examine(on_call.page, "alerts-no-heartbeat", pictures)
    tell(watched_shop)
    on_call.open(LIST)
    on_call.reads("so this quiet is real")
    examine(on_call.page, "alerts-empty", pictures)
    tell(watched_shop, story(WARNING, 3), story(CRITICAL, 72), story(TICKET, 3000))
    on_call.open(LIST)
    on_call.reads("1 critical, 1 warning, 1 ticket")
    expect(on_call.page.locator("h3").first).to_have_text("RetailOversold")
    examine(on_call.page, "alerts-firing", pictures)
    watched_shop.run(LONG_AGO)
    on_call.open(LIST)
    on_call.reads("The watch was last heard from 9 h ago.")
    on_call.reads("Not heard of since")
    examine(on_call.page, "alerts-not-heard-of", pictures)
    tell(watched_shop, story(WARNING, 3, 1), story(CRITICAL, 72, 2), story(TICKET, 3000, 20))
    on_call.open(LIST)
    expect(on_call.page.locator("#verdict-title")).to_have_text("Nothing is firing")
    expect(on_call.page.locator("tbody tr")).to_have_count(3)
    examine(on_call.page, "alerts-resolved", pictures)


def test_the_list_follows_what_happens_and_keeps_the_place(
    on_call: Visitor, watched_shop: ShopWithoutDebug
) -> None:
    page = on_call.page
    expect(page.locator("#alerts")).to_have_attribute("hx-trigger", "every 10s, seen-again")
    tell(watched_shop, story(CRITICAL, 5))
    expect(page.locator("h3")).to_have_text("RetailOversold")  # by itself, within ten seconds
    expect(page.get_by_role("status")).to_have_text("1 alert firing")
    steps = page.locator("details")
    expect(steps).to_have_attribute("open", "")
    page.get_by_text("First steps", exact=True).click()
    page.get_by_role("link", name="Logs").focus()
    tell(watched_shop, story(WARNING, 2))
    page.evaluate(ASK)
    expect(page.locator("h3")).to_have_text(["RetailOversold", "RetailCircuitBreakerOpen"])
    focused = page.evaluate("document.activeElement.id.split('-')[0]")
    assert focused == "logs"
    expect(steps.first).not_to_have_attribute("open", "")  # as it was left
    tell(watched_shop, story(CRITICAL, 5, 1))
    page.evaluate(ASK)
    expect(page.locator("tbody th")).to_have_text("RetailOversold")


def test_nobody_looks_and_nothing_is_asked(
    on_call: Visitor, watched_shop: ShopWithoutDebug
) -> None:
    page = on_call.page
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/metrics/" in one.url else None)
    page.evaluate(HIDE, True)
    tell(watched_shop, story(CRITICAL, 5))
    page.evaluate(ASK)
    page.evaluate(ASK)
    assert asked == []
    page.evaluate(HIDE, False)  # looked at again, it asks at once
    expect(page.locator("h3")).to_have_text("RetailOversold")
    assert len(asked) == 1


def test_a_list_that_cannot_be_refreshed_says_so(on_call: Visitor) -> None:
    page = on_call.page
    stale = page.get_by_text("what stands here may be old")
    expect(stale).to_be_hidden()
    address = "**/metrics/alerts/list/**"
    page.route(address, lambda route: route.fulfill(status=503, body="away"))
    page.evaluate(ASK)
    expect(stale).to_be_visible()
    page.unroute(address)
    page.evaluate(ASK)
    expect(stale).to_be_hidden()
    on_call.expected = [503]
    (told,) = on_call.leave()  # htmx tells it too
    assert told.startswith("console: Response Status Error Code 503")


def test_who_is_logged_out_elsewhere_is_asked_to_log_in(on_call: Visitor) -> None:
    on_call.context.clear_cookies()
    on_call.page.evaluate(ASK)
    on_call.sees("Log in")
    on_call.is_at(f"/accounts/login/?next={LIST}")
    on_call.expected = [401]


def test_from_the_alert_to_its_runbook_without_a_mouse(
    on_call: Visitor, watched_shop: ShopWithoutDebug, pictures: Path
) -> None:
    tell(watched_shop, story(CRITICAL, 5))
    on_call.open(LIST)
    on_call.page.get_by_role("link", name="Runbook", exact=True).focus()
    on_call.page.keyboard.press("Enter")
    on_call.is_at("/metrics/runbooks/RetailOversold/")
    on_call.sees("RetailOversold")
    examine(on_call.page, "runbook", pictures)
    on_call.follow("the other one")
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


def test_without_scripts_the_list_loads_itself_anew(
    visitor: OpenVisitor, on_call: Visitor, watched_shop: ShopWithoutDebug
) -> None:
    tell(watched_shop, story(CRITICAL, 5))
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(on_call.context.cookies())  # type: ignore[arg-type]
    plain.open(LIST)
    expect(plain.page.locator("h3")).to_have_text("RetailOversold")
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
