"""From an order to its refund in the browser: the customer's pages, and staff's desk."""

from __future__ import annotations

from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.looks import examine
from tests.browser.support import LAMP, PASSWORD, TEAPOT
from tests.gateway_simulator.support import FAULTS
from tests.running.support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.browser.conftest import OpenVisitor
    from tests.browser.support import ShopWithoutDebug, Visitor

STAFF = f"""
from django.contrib.auth.models import Permission, User
user = User.objects.create_user("returns-desk", password="{PASSWORD}", is_staff=True)
user.user_permissions.set(Permission.objects.filter(
    content_type__app_label="returns", codename__regex="^(view|change)_re(turn|fund)$"))
"""
DISPATCH = """
from orders.fulfilment import sale_dispatch
sale_dispatch(reference="{}", user_id=1)
"""
# A refund in place of one that failed waits half a minute.
NOW_DUE = """
from django.utils import timezone
from returns.models import Refund
Refund.objects.filter(status="REQUESTED").update(due_at=timezone.now())
"""


@pytest.fixture(scope="session")
def returns_shop(running_shop: ShopWithoutDebug) -> ShopWithoutDebug:
    """Return the shop with staff who handle returns."""
    running_shop.run(STAFF)
    return running_shop


@pytest.fixture
def desk(visitor: OpenVisitor, returns_shop: ShopWithoutDebug) -> Visitor:
    """Return staff on the desk."""
    staff = visitor(customer=False)
    staff.open("/desk/returns/")
    staff.page.get_by_label("Username").fill("returns-desk")
    staff.page.get_by_label("Password").fill(PASSWORD)
    staff.press("Log in")
    staff.sees("Returns")
    return staff


def buy(visitor: Visitor, **quantities: int) -> str:
    """Order lamps and teapots, with an address for e-mails; return the order's reference."""
    for name, product in (("lamps", LAMP), ("teapots", TEAPOT)):
        if name in quantities:
            visitor.put_in_cart(product, quantities[name])
    visitor.fill_in_checkout()
    visitor.page.get_by_label("E-mail").fill("sam@example.com")
    visitor.place_order.click()
    expect(visitor.status).to_have_text("Thank you for your order")
    return visitor.page.url.rstrip("/").rpartition("/")[2]


def operate(shop: ShopWithoutDebug, path: str, **body: Any) -> None:
    """Change something at the gateway, as its operator."""
    answer = requests.post(f"{shop.gateway.url}{path}", json=body, headers=FAULTS, timeout=30)
    assert answer.ok, answer.text


def refund_ids(shop: ShopWithoutDebug) -> list[str]:
    """Return the gateway's ids of all refunds, oldest first."""
    headers = {"Authorization": f"Bearer {shop.environment['GATEWAY_API_KEY']}"}
    answer = requests.get(f"{shop.gateway.url}/v1/refunds", headers=headers, timeout=30)
    return [row["refund_id"] for row in answer.json()["refunds"]]


def subjects(shop: ShopWithoutDebug) -> list[str]:
    return [str(make_header(decode_header(each["Subject"]))) for each in shop.mail.messages]


def reload_until(visitor: Visitor, text: str) -> None:
    """Reload the page until it shows a text."""

    def shown() -> bool:
        visitor.page.reload()
        return text in visitor.page.get_by_role("main").inner_text()

    wait_until(shown, f"the page to show {text}")


def request_return(customer: Visitor, pictures: Path) -> None:
    """Return two lamps of a dispatched order, at the second try with the keyboard."""
    customer.page.reload()
    examine(customer.page, "order-dispatched", pictures)
    customer.follow("Return items")
    customer.sees("Return items")
    customer.page.get_by_label("Reason").select_option("It arrived damaged")
    customer.press("Request return")
    expect(customer.page.locator(".field-errors")).to_have_text("Choose how many units to return.")
    examine(customer.page, "return-errors", pictures)
    customer.expected = [400]
    customer.page.get_by_label("Lumen Desk Lamp").fill("2")
    customer.page.get_by_label("What should we know about it?").fill("One is cracked.")
    examine(customer.page, "return-form", pictures)
    customer.page.keyboard.press("Tab")
    customer.page.keyboard.press("Enter")  # on the button
    customer.reads("We've received your return request")
    examine(customer.page, "order-return-requested", pictures)


def inspect_return(desk: Visitor, customer: Visitor, pictures: Path) -> None:
    """Approve the return in the queue, and record that one of two lamps is damaged."""
    desk.page.reload()
    examine(desk.page, "desk-queue", pictures)
    desk.page.get_by_role("row").filter(has_text="Lumen Desk Lamp").get_by_role("link").click()
    examine(desk.page, "desk-return-requested", pictures)
    desk.press("Approve")
    desk.reads("On the way to us")
    customer.page.reload()
    customer.reads("Send the items back by")
    examine(customer.page, "order-return-approved", pictures)
    desk.page.get_by_label("Sellable units of Lumen Desk Lamp").fill("1")
    desk.page.get_by_label("Damaged units of Lumen Desk Lamp").fill("1")
    examine(desk.page, "desk-return-inspect", pictures)
    desk.press("Record inspection")
    desk.reads("To refund")


def refund_less(desk: Visitor, pictures: Path) -> None:
    """Refund less than the lamps are worth, which needs words; end on the refund's page."""
    desk.page.get_by_label("Amount in EUR").fill("50.00")
    desk.press("Refund and close")
    desk.reads("Say why less is refunded")
    desk.expected = [409]
    examine(desk.page, "desk-return-refund", pictures)
    desk.page.get_by_label("Message to the customer").fill("The cracked lamp has no box.")
    desk.press("Refund and close")
    desk.page.get_by_role("table").get_by_role("link").filter(has_text="RF-").click()
    desk.reads("The worker sends it to the gateway.")


def test_two_of_three_are_returned_and_the_refund_fails_and_is_paid(
    visitor: OpenVisitor, desk: Visitor, returns_shop: ShopWithoutDebug, pictures: Path
) -> None:
    shop, customer = returns_shop, visitor()
    reference = buy(customer, lamps=3, teapots=1)
    shop.run(DISPATCH.format(reference))
    request_return(customer, pictures)
    inspect_return(desk, customer, pictures)
    refund_less(desk, pictures)
    shop.start("worker")
    reload_until(desk, "Paid out")
    customer.page.reload()
    customer.reads("It can take your bank some days to show it.")
    operate(shop, f"/refunds/{refund_ids(shop)[-1]}/state", state="failed")
    reload_until(desk, "A later refund took its place.")  # the shop tries again by itself
    desk.reads("Attempts to pay this amount")
    examine(desk.page, "desk-refund-replaced", pictures)
    shop.run(NOW_DUE)
    desk.page.get_by_role("table").get_by_role("link").filter(has_text="RF-").last.click()
    reload_until(desk, "went to the card")
    examine(desk.page, "desk-refund-paid", pictures)
    customer.page.reload()
    expect(customer.page.get_by_text("Refund of €50.00")).to_have_count(1)
    customer.reads("The cracked lamp has no box.")
    examine(customer.page, "order-refunded", pictures)
    customer.open("/orders/")
    customer.reads("€50.00 refunded")
    examine(customer.page, "orders-refunded", pictures)
    about = f"Your refund for order {reference} "
    ends = [about + end for end in ("is delayed", "is on its way", "was paid out", "was paid out")]
    wait_until(
        lambda: sorted(each for each in subjects(shop) if each.startswith(about)) == ends,
        "the e-mails about the refund",
    )


def test_an_order_is_cancelled_without_scripts_and_its_refund_needs_a_person(
    visitor: OpenVisitor, desk: Visitor, returns_shop: ShopWithoutDebug, pictures: Path
) -> None:
    shop, customer = returns_shop, visitor(java_script_enabled=False)
    reference = buy(customer, teapots=1)
    customer.follow("Cancel order")
    customer.reads("refund")
    customer.press("Cancel order")
    customer.reads("For your cancelled order.")

    charge = shop.query(f"Payment.objects.get(sale__reference='{reference}').key")
    operate(shop, f"/charges/{charge}/dispute", open=True)
    shop.start("worker")
    desk.open(f"/desk/returns/?q={reference}")
    reload_until(desk, "Failed: owed")
    reload_until(desk, "has disputed this charge")
    examine(desk.page, "desk-order-disputed", pictures)
    desk.open("/desk/returns/")
    desk.reads("Failed: owed")
    examine(desk.page, "desk-queue-owed", pictures)
    desk.page.get_by_role("row").filter(has_text=reference).get_by_role("link").first.click()
    examine(desk.page, "desk-refund-owed", pictures)
    desk.press("Try again")
    desk.reads("disputes this charge")
    desk.expected = [409]
    operate(shop, f"/charges/{charge}/dispute", open=False)
    wait_until(
        lambda: shop.query(f"Payment.objects.get(key='{charge}').disputed_at is None"),
        "the shop to learn of the dispute's end",
    )
    desk.press("Try again")
    reload_until(desk, "went to the card")
    customer.page.reload()
    customer.reads("It can take your bank some days to show it.")


def test_staff_refund_an_amount_from_the_orders_page(
    visitor: OpenVisitor, desk: Visitor, returns_shop: ShopWithoutDebug, pictures: Path
) -> None:
    customer = visitor()
    reference = buy(customer, teapots=2)
    customer.follow("Cancel order")
    examine(customer.page, "order-cancel", pictures)
    returns_shop.run(DISPATCH.format(reference))
    desk.open(f"/desk/returns/orders/{reference}/")
    for part in ("Refund an amount", "Request a return for the customer"):
        desk.page.get_by_text(part, exact=True).click()
    examine(desk.page, "desk-order", pictures)
    desk.page.get_by_label("Amount in EUR").fill("5000")
    desk.page.get_by_label("Message to the customer").fill("Sorry for the wait.")
    desk.press("Refund")
    desk.reads("can still be refunded, not 5000")
    desk.expected = [409]
    desk.page.get_by_label("Amount in EUR").fill("5")
    desk.press("Refund")
    desk.reads("The worker sends it to the gateway.")
    customer.press("Cancel order")  # it was dispatched meanwhile
    customer.reads("This order has been dispatched.")
    customer.expected = [409]
    examine(customer.page, "order-cancel-too-late", pictures)
