"""The quality scenarios in the browser: verdicts, and updates while the gateway is down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import FLASH, LAMP, PASSWORD, ShopWithoutDebug, Visitor

PAGE = "/metrics/quality-scenarios/"
STAFF = f"""
from django.contrib.auth.models import User
User.objects.create_user("viewer", password="{PASSWORD}", is_staff=True)
"""
# Moves what other tests did into the past.
RESET = """
from datetime import timedelta
from django.db.models import F
from orders.models import Payment, Sale
from payments.models import CircuitBreaker
from quality.models import VerdictInterval
from retail.models import AuditCheck, Metric, MetricRollup, RollupMark
back = timedelta(days=40)
Sale.objects.update(created_at=F("created_at") - back, finished_at=F("finished_at") - back)
Payment.objects.update(created_at=F("created_at") - back, settled_at=F("settled_at") - back)
for model in (AuditCheck, CircuitBreaker, Metric, MetricRollup, RollupMark, VerdictInterval):
    model.objects.all().delete()
"""
# Settles twenty more payments, with `status`.
SETTLE = """
import uuid
from django.contrib.auth.models import User
from django.utils import timezone
from orders.models import Payment, Sale
now, user = timezone.now(), User.objects.get(username="viewer")
for _ in range(20):
    sale = Sale.objects.create(
        user=user, status="CONFIRMED" if status == "COMPLETED" else "FAILED", total="24.90",
        currency="EUR", idempotency_key=uuid.uuid4(), delivery_name="-", delivery_address="-",
        created_at=now, finished_at=now,
    )
    Payment.objects.create(
        sale=sale, token="tok_good", amount="24.90", currency="EUR", created_at=now,
        settled_at=now, due_at=now, status=status,
        failure_reason="" if status == "COMPLETED" else "declined",
    )
"""
# Runs the worker's jobs of every minute.
RUN_JOBS = """
from quality.tasks import judge_scenarios
from retail.tasks import run_audit
run_audit()
judge_scenarios()
"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
POLL = "htmx.trigger('#scenarios', 'seen-again')"


@pytest.fixture(scope="session")
def staffed_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop with a staff user."""
    running_shop.run(STAFF)
    return running_shop


@pytest.fixture
def new_shop(shop: ShopWithoutDebug, staffed_shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop without history; afterwards the breaker is closed."""
    shop.run(RESET)
    yield shop
    shop.gateway.knobs()
    shop.run(RESET)


@pytest.fixture
def viewer(visitor: OpenVisitor, new_shop: ShopWithoutDebug) -> Visitor:
    """Return a staff member who views the scenarios."""
    staff = visitor(customer=False)
    staff.open(PAGE)
    staff.page.get_by_label("Username").fill("viewer")
    staff.page.get_by_label("Password").fill(PASSWORD)
    staff.press("Log in")
    staff.is_at(PAGE)
    return staff


def verdict(viewer: Visitor, scenario: str) -> Locator:
    """Return the element with a scenario's verdict."""
    return viewer.page.locator(f"#{scenario} .qs-verdict")


def buy(shop: ShopWithoutDebug, product: str, card: str = "tok_good") -> int:
    """Buy something as a new customer; return the status of the response."""
    shopper = shop.shopper()
    shopper.put_in_cart(f"/products/{product}/")
    return shopper.order(card).status_code


def test_a_shop_without_history_has_no_evidence(viewer: Visitor, pictures: Path) -> None:
    viewer.sees("Quality scenarios")
    for scenario in ("A1", "A2", "P1", "P2", "I1", "I2"):
        expect(verdict(viewer, scenario)).to_have_text("NO EVIDENCE")
    for scenario in ("S1", "S2", "M1", "M2", "T1", "T2", "U1", "U2"):
        expect(verdict(viewer, scenario)).to_have_text("TESTED")
    examine(viewer.page, "quality-no-evidence", pictures)


def test_a2_changes_without_a_reload_while_the_gateway_is_down(
    viewer: Visitor, new_shop: ShopWithoutDebug, pictures: Path
) -> None:
    new_shop.start("worker")
    page = viewer.page
    assert [buy(new_shop, product) for product in (FLASH, LAMP, LAMP)] == [200, 200, 200]
    expect(page.locator("#A2 tbody tr").first).to_contain_text("too few to evaluate")
    expect(verdict(viewer, "A2")).to_have_text("NO EVIDENCE")
    new_shop.run(f"status = 'COMPLETED'{SETTLE}")
    expect(verdict(viewer, "A2")).to_have_text("PASS")
    new_shop.run(RUN_JOBS)
    expect(verdict(viewer, "A1")).to_have_text("PASS")
    expect(page.locator("#A2 figcaption")).to_contain_text("of the time with evidence")
    # The audit objects to SETTLE's orders without lines, so a problem follows.
    expect(page.get_by_role("status")).to_contain_text("No scenarios failing; problems now: Books")
    page.locator("#A2 summary").click()
    examine(page, "quality-passing", pictures)

    new_shop.gateway.knobs(off=True)
    assert buy(new_shop, LAMP) == 200  # no answer, until the breaker opens
    assert buy(new_shop, LAMP) == 503
    expect(page.locator("#A2 tbody tr").nth(1)).to_contain_text("1 checkout refused by the breaker")
    # An unknown payment has not failed yet. How fast the refusal was depends on this machine.
    expect(page.locator("#A2 tbody tr").first.locator(".qs-met")).to_have_text("met")
    new_shop.gateway.knobs()
    new_shop.pass_the_rest()
    assert buy(new_shop, LAMP, "tok_declined") == 200
    new_shop.run(f"status = 'FAILED'{SETTLE}")
    expect(verdict(viewer, "A2")).to_have_text("FAIL")
    expect(page.get_by_role("status")).to_contain_text("Failing: A2")
    expect(page.locator("#A2 tbody tr").first).to_contain_text("not met")
    expect(page.locator("#A2 details")).to_have_attribute("open", "")  # as the user left it
    expect(verdict(viewer, "A1")).to_have_text("PASS")
    examine(page, "quality-failing", pictures)


def test_a_hidden_page_does_not_poll(viewer: Visitor, new_shop: ShopWithoutDebug) -> None:
    page = viewer.page
    expect(page.locator("#scenarios")).to_have_attribute("hx-trigger", "every 10s, seen-again")
    polled: list[str] = []
    page.on("request", lambda sent: polled.append(sent.url) if "/metrics/" in sent.url else None)
    page.evaluate(HIDE, True)
    new_shop.run(f"status = 'FAILED'{SETTLE}")
    page.evaluate(POLL)
    page.evaluate(POLL)
    assert polled == []
    page.evaluate(HIDE, False)  # visible again, it polls at once
    expect(verdict(viewer, "A2")).to_have_text("FAIL")
    assert len(polled) == 1


def test_a_failed_update_is_reported(viewer: Visitor) -> None:
    page = viewer.page
    stale = page.get_by_text("This data may be out of date")
    expect(stale).to_be_hidden()
    page.route("**/quality-scenarios/list/**", lambda route: route.fulfill(status=503, body=""))
    page.evaluate(POLL)
    expect(stale).to_be_visible()
    page.unroute("**/quality-scenarios/list/**")
    page.evaluate(POLL)
    expect(stale).to_be_hidden()
    viewer.expected = [503]
    (problem,) = viewer.leave()  # htmx logs it, too
    assert problem.startswith("console: Response Status Error Code 503")


def test_range_and_runbook_with_the_keyboard(viewer: Visitor) -> None:
    viewer.page.get_by_role("link", name="7 days").focus()
    viewer.page.keyboard.press("Enter")
    viewer.is_at(f"{PAGE}?days=7")
    viewer.reads("Evaluated over the last 7 days")
    viewer.page.locator("#A1 summary").focus()
    viewer.page.keyboard.press("Enter")
    expect(viewer.page.locator("#A1").get_by_text("Many buyers who want")).to_be_visible()
    expect(viewer.page.get_by_role("link", name="Runbook RetailOversold")).to_have_attribute(
        "href", "/metrics/runbooks/RetailOversold/"
    )


def test_the_printed_report_shows_everything(viewer: Visitor, pictures: Path) -> None:
    page = viewer.page
    page.evaluate("window.print = () => { window.printed = true; }")
    viewer.press("Print report")
    assert page.evaluate("window.printed") is True
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator(".site-header")).to_be_hidden()
    expect(page.get_by_role("button", name="Print report")).to_be_hidden()
    proof = "tests/retail/web/test_problems.py::test_a_form_without_csrf_token_is_refused"
    expect(page.locator("#S1").get_by_text(proof)).to_be_visible()
    page.screenshot(path=pictures / "quality-paper.png", full_page=True)


def test_without_scripts_the_page_reloads_itself(visitor: OpenVisitor, viewer: Visitor) -> None:
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(viewer.context.cookies())  # type: ignore[arg-type]
    plain.open(PAGE)
    plain.sees("Quality scenarios")
    expect(plain.page.get_by_role("button", name="Print report")).to_be_hidden()
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
