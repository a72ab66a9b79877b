"""Support dispatches an order in the admin, and its buyer sees that, and a cancellation."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenVisitor
from tests.browser.looks import examine
from tests.browser.support import LAMP, PASSWORD, ShopWithoutDebug

STAFF = f"""
from django.contrib.auth.models import Group, User
sue = User.objects.create_user("sue", password="{PASSWORD}", is_staff=True)
sue.groups.add(Group.objects.get(name="support"))
"""
CANCEL = """
from orders.fulfilment import sale_cancel
from orders.models import Sale
assert sale_cancel(sale=Sale.objects.get(reference="{}"))
"""


def test_an_order_is_dispatched_and_another_one_cancelled(
    visitor: OpenVisitor, shop: ShopWithoutDebug, pictures: Path
) -> None:
    shop.run(STAFF)
    buyer, sue = visitor(), visitor(customer=False)
    orders = []
    for _ in range(2):
        buyer.put_in_cart(LAMP)
        buyer.buy()
        expect(buyer.status).to_have_text("Thank you for your order")
        orders.append(buyer.page.url.rstrip("/").rpartition("/")[2])
    dispatched, cancelled = orders

    sue.open("/admin/login/?next=/admin/orders/sale/?dispatch=waiting")
    sue.page.get_by_label("Username").fill("sue")
    sue.page.get_by_label("Password").fill(PASSWORD)
    sue.press("Log in")
    sue.page.screenshot(path=pictures / "admin-orders.png", full_page=True)
    sue.follow(dispatched)
    sue.page.screenshot(path=pictures / "admin-order.png", full_page=True)
    sue.press("Dispatch, and notify the customer")
    sue.reads(f"Dispatched, and the customer is notified: {dispatched}.")
    expect(sue.page.get_by_role("button", name="Dispatch, and notify")).to_have_count(0)
    sue.page.screenshot(path=pictures / "admin-order-dispatched.png", full_page=True)

    shop.run(CANCEL.format(cancelled))
    for reference, title in (
        (dispatched, "Your order is on its way"),
        (cancelled, "Your order is cancelled"),
    ):
        buyer.open(f"/orders/{reference}/")
        expect(buyer.status).to_have_text(title)
        examine(buyer.page, title.replace(" ", "-"), pictures)
    buyer.open("/orders/")
    buyer.has_orders("Cancelled, money back", "Dispatched")
    examine(buyer.page, "orders-dispatched", pictures)
