"""Staff look at the quality scenarios, and see them turn while the gateway is away."""

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
User.objects.create_user("judge", password="{PASSWORD}", is_staff=True)
"""
# What other tests did is long ago.
FORGET = """
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
# What the worker does every minute.
MINUTE = """
from quality.tasks import judge_scenarios
from retail.tasks import run_audit
run_audit()
judge_scenarios()
"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
ASK = "htmx.trigger('#scenarios', 'seen-again')"


@pytest.fixture(scope="session")
def judged_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop, with somebody who looks at its scenarios."""
    running_shop.run(STAFF)
    return running_shop


@pytest.fixture
def new_shop(shop: ShopWithoutDebug, judged_shop: ShopWithoutDebug) -> Iterator[ShopWithoutDebug]:
    """Return the shop as if nothing had happened in it; afterwards the breaker is closed."""
    shop.run(FORGET)
    yield shop
    shop.gateway.knobs()
    shop.run(FORGET)


@pytest.fixture
def judge(visitor: OpenVisitor, new_shop: ShopWithoutDebug) -> Visitor:
    """Return somebody of the staff who looks at the scenarios."""
    somebody = visitor(customer=False)
    somebody.open(PAGE)
    somebody.page.get_by_label("Username").fill("judge")
    somebody.page.get_by_label("Password").fill(PASSWORD)
    somebody.press("Log in")
    somebody.is_at(PAGE)
    return somebody


def verdict(judge: Visitor, scenario: str) -> Locator:
    """Return the word that stands beside a scenario's title."""
    return judge.page.locator(f"#{scenario} .qs-verdict")


def buy(shop: ShopWithoutDebug, product: str, card: str = "tok_good") -> int:
    """Have a new customer buy something; return the answer's status."""
    shopper = shop.shopper()
    shopper.put_in_cart(f"/products/{product}/")
    return shopper.order(card).status_code


def test_a_shop_in_which_nothing_happened_has_no_evidence(judge: Visitor, pictures: Path) -> None:
    judge.sees("Quality scenarios")
    for scenario in ("A1", "A2", "P1", "P2", "M1", "I1", "I2"):
        expect(verdict(judge, scenario)).to_have_text("NO EVIDENCE")
    for scenario in ("S1", "S2", "M2", "T1", "T2", "U1", "U2"):
        expect(verdict(judge, scenario)).to_have_text("TESTED")
    examine(judge.page, "quality-no-evidence", pictures)


def test_while_the_gateway_is_away_a2_turns_without_reloading(
    judge: Visitor, new_shop: ShopWithoutDebug, pictures: Path
) -> None:
    new_shop.start("worker")
    page = judge.page
    assert [buy(new_shop, product) for product in (FLASH, LAMP, LAMP)] == [200, 200, 200]
    expect(verdict(judge, "A2")).to_have_text("PASS")
    new_shop.run(MINUTE)
    expect(verdict(judge, "A1")).to_have_text("PASS")
    expect(page.locator("#A2 figcaption")).to_contain_text("of the time with evidence")
    expect(page.get_by_role("status")).to_have_text("No scenario fails")
    page.locator("#A2 summary").click()
    examine(page, "quality-passing", pictures)

    new_shop.gateway.knobs(off=True)
    assert buy(new_shop, LAMP) == 200  # without an answer, until the breaker opens
    assert buy(new_shop, LAMP) == 503
    expect(page.locator("#A2 tbody tr").nth(1)).to_contain_text("refused by the open breaker: 1")
    expect(verdict(judge, "A2")).to_have_text("PASS")  # what is unknown has not failed yet
    new_shop.gateway.knobs()
    new_shop.pass_the_rest()
    assert buy(new_shop, LAMP, "tok_declined") == 200
    expect(verdict(judge, "A2")).to_have_text("FAIL")
    expect(page.get_by_role("status")).to_have_text("Failing: A2")
    expect(page.locator("#A2 tbody tr").first).to_contain_text("broken")
    expect(page.locator("#A2 details")).to_have_attribute("open", "")  # as it was left
    expect(verdict(judge, "A1")).to_have_text("PASS")
    examine(page, "quality-failing", pictures)


def test_nobody_looks_and_nothing_is_asked(judge: Visitor, new_shop: ShopWithoutDebug) -> None:
    page = judge.page
    expect(page.locator("#scenarios")).to_have_attribute("hx-trigger", "every 10s, seen-again")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "/metrics/" in one.url else None)
    page.evaluate(HIDE, True)
    buy(new_shop, LAMP, "tok_declined")
    page.evaluate(ASK)
    page.evaluate(ASK)
    assert asked == []
    page.evaluate(HIDE, False)  # looked at again, it asks at once
    expect(verdict(judge, "A2")).to_have_text("FAIL")
    assert len(asked) == 1


def test_a_page_that_cannot_be_refreshed_says_so(judge: Visitor) -> None:
    page = judge.page
    stale = page.get_by_text("what stands here may be old")
    expect(stale).to_be_hidden()
    page.route("**/quality-scenarios/list/**", lambda route: route.fulfill(status=503, body=""))
    page.evaluate(ASK)
    expect(stale).to_be_visible()
    page.unroute("**/quality-scenarios/list/**")
    page.evaluate(ASK)
    expect(stale).to_be_hidden()
    judge.expected = [503]
    (told,) = judge.leave()  # htmx tells it too
    assert told.startswith("console: Response Status Error Code 503")


def test_by_keyboard_to_another_window_and_to_the_runbook(judge: Visitor) -> None:
    judge.page.get_by_role("link", name="7 days").focus()
    judge.page.keyboard.press("Enter")
    judge.is_at(f"{PAGE}?days=7")
    judge.reads("Judged over 7 days")
    judge.page.locator("#A1 summary").focus()
    judge.page.keyboard.press("Enter")
    expect(judge.page.locator("#A1").get_by_text("Many buyers who all want")).to_be_visible()
    expect(judge.page.get_by_role("link", name="Runbook RetailOversold")).to_have_attribute(
        "href", "/metrics/runbooks/RetailOversold/"
    )


def test_the_report_on_paper_shows_everything(judge: Visitor, pictures: Path) -> None:
    page = judge.page
    page.evaluate("window.print = () => { window.printed = true; }")
    judge.press("Print report")
    assert page.evaluate("window.printed") is True
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator(".site-header")).to_be_hidden()
    expect(page.get_by_role("button", name="Print report")).to_be_hidden()
    proof = "tests/retail/web/test_problems.py::test_a_form_without_csrf_token_is_refused"
    expect(page.locator("#S1").get_by_text(proof)).to_be_visible()
    page.screenshot(path=pictures / "quality-paper.png", full_page=True)


def test_without_scripts_the_page_loads_itself_anew(visitor: OpenVisitor, judge: Visitor) -> None:
    plain = visitor(customer=False, java_script_enabled=False)
    plain.context.add_cookies(judge.context.cookies())  # type: ignore[arg-type]
    plain.open(PAGE)
    plain.sees("Quality scenarios")
    expect(plain.page.get_by_role("button", name="Print report")).to_be_hidden()
    assert '<meta http-equiv="refresh" content="30">' in plain.page.content()
