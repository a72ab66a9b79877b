"""The tests' buyers and products: each order has its own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from drills.shoppers import Shopper, form_of
from tests.faults.records import QUANTITY
from tests.running.support import PATIENCE

if TYPE_CHECKING:
    from requests import Response

    from tests.faults.cells import Cell

# For Django's shell, as a template: `cells` are pairs of a number and whether it is a flash sale.
PRODUCTS = """
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from products.models import Category, Product
from products.services import stock_set
shelf = Category.objects.create(name="Cells", slug="cells")
now = timezone.now()
for number, flash in {cells}:
    product = Product.objects.create(
        category=shelf, name=f"Cell {{number}}", slug=f"cell-{{number}}",
        price=Decimal(1000 + number) / 100,
    )
    if flash:
        Product.objects.filter(pk=product.pk).update(
            flash_price=Decimal(500 + number) / 100,
            flash_starts_at=now, flash_ends_at=now + timedelta(days=1),
        )
    stock_set(product_id=product.pk, stock={stock}, reason="seed", reference="cells")
"""


class Buyer(Shopper):
    """A customer with an e-mail address who keeps the checkout page open."""

    def __init__(self, url: str, cell: Cell) -> None:
        super().__init__(url)
        self.plan = cell.plan
        self.first_status: int | None = None  # of the first response
        name = f"buyer-{cell.plan.number}"
        self.submit(
            self.get("/accounts/register/"),
            "/accounts/register/",
            username=name,
            email=f"{name}@example.com",
            password1="correct-horse-battery",
            password2="correct-horse-battery",
        ).raise_for_status()
        self.put_in_cart(f"/products/cell-{cell.plan.number}/", QUANTITY).raise_for_status()
        self.page = self.get("/checkout/")

    def place_order(self) -> Response:
        """Submit the page's form, possibly again."""
        return self.session.post(
            f"{self.url}/checkout/",
            data={
                **form_of(self.page, "/checkout/"),
                "delivery_name": self.plan.as_name(),
                "delivery_address": "1 Example Street",
                "payment_token": self.plan.card,
            },
            headers={"Referer": self.page.url, "Origin": self.url},
            timeout=2 * PATIENCE,  # longer than any process pauses
        )

    def place_order_ignoring_errors(self) -> None:
        """Submit the form to a server that may be killed while it responds."""
        with contextlib.suppress(OSError):
            self.first_status = self.place_order().status_code
