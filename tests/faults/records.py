"""The rows of shop and gateway after a fault, and whether they agree.

Read with plain SQL, so that an error in the shop's models cannot hide itself.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2

from tests.faults.cells import CANCELLED, CONFIRMED, FAILED, NOTHING, PENDING, UNKNOWN, Cell

if TYPE_CHECKING:
    from tests.running.support import RunningShop

Row = dict[str, Any]
STOCK, QUANTITY = 10, 2

_TABLES = {
    "sales": "SELECT id, reference, status, total, currency, delivery_name FROM orders_sale",
    "items": "SELECT sale_id, product_id, quantity, unit_price FROM orders_saleitem",
    "payments": (
        "SELECT sale_id, key, status, failure_reason, amount, currency FROM orders_payment"
    ),
    "products": "SELECT id, slug, stock FROM products_product",
    "movements": (
        "SELECT product_id, quantity, reason, reference FROM products_stockmovement ORDER BY id"
    ),
    "in_carts": "SELECT product_id, quantity FROM cart_cartitem",
}
_ENDINGS = {
    ("CONFIRMED", "COMPLETED", ""): CONFIRMED,
    ("FAILED", "FAILED", "declined"): FAILED,
    ("CANCELLED", "FAILED", "cancelled"): CANCELLED,
}
_UNFINISHED = {
    str([("PENDING", "PENDING", "")]): PENDING,
    str([("PENDING", "UNKNOWN", "")]): UNKNOWN,
}
_AT_GATEWAY = {CONFIRMED: "approved", FAILED: "declined", CANCELLED: "cancelled"}


def query(shop: RunningShop, *statements: str) -> list[Row]:
    """Run statements in one transaction; return the last one's rows."""
    url = shop.environment["DATABASE_URL"]
    if url.startswith("postgres"):
        connection: Any = psycopg2.connect(url)
    else:
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)
    with closing(connection), connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in (cursor if names else ())]


def _money(value: object) -> str | None:
    return None if value is None else f"{Decimal(str(value)):.2f}"


@dataclass
class Records:
    """All rows of shop and gateway at one moment."""

    shop: RunningShop
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {name: query(self.shop, select) for name, select in _TABLES.items()}
        self.charges = self.shop.gateway.get("/v1/charges?limit=1000").json()["charges"]
        mail = self.shop.folder / "var" / "mail"
        text = "\n".join(file.read_text() for file in mail.glob("*"))
        self.emails = re.findall(r"^Subject: Your order (\S+)", text, flags=re.MULTILINE)

    def _rows(self, table: str, **values: object) -> list[Row]:
        return [
            row for row in self.tables[table]
            if all(row[column] == value for column, value in values.items())
        ]  # fmt: skip

    def unknown_charges(self) -> list[Row]:
        """Return the gateway's charges whose keys the shop does not know."""
        known = {payment["key"] for payment in self.tables["payments"]}
        return [charge for charge in self.charges if charge["key"] not in known]

    def entry(self, cell: Cell) -> Entry:
        """Return the rows of one cell, found by its product, which nobody else buys."""
        [product] = self._rows("products", slug=f"cell-{cell.plan.number}")
        items = self._rows("items", product_id=product["id"])
        ids = {item["sale_id"] for item in items}
        sales = [sale for sale in self.tables["sales"] if sale["id"] in ids]
        payments = [row for row in self.tables["payments"] if row["sale_id"] in ids]
        keys = {payment["key"] for payment in payments}
        in_carts = self._rows("in_carts", product_id=product["id"])
        references = {sale["reference"] for sale in sales}
        return Entry(
            product=product,
            sales=sales,
            items=items,
            payments=payments,
            movements=self._rows("movements", product_id=product["id"]),
            in_carts=sum(row["quantity"] for row in in_carts),
            charges=[
                charge for charge in self.charges
                if charge["key"] in keys or charge["reference"] in references
            ],
            emails=[reference for reference in self.emails if reference in references],
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """The rows of one order."""

    product: Row
    sales: list[Row]
    items: list[Row]
    payments: list[Row]
    movements: list[Row]
    in_carts: int
    charges: list[Row]
    emails: list[str]

    def ending(self) -> str:
        """Return the order's final state, or the raw states if it is not final."""
        if not self.sales:
            return NOTHING
        states = [
            (sale["status"], payment["status"], payment["failure_reason"])
            for sale in self.sales
            for payment in self.payments
        ]
        return _ENDINGS.get(states[0], str(states)) if len(states) == 1 else str(states)

    def current_state(self) -> str:
        """Return the order's state, final or not."""
        ending = self.ending()
        return _UNFINISHED.get(ending, ending)

    def mismatches(self, expected: str, emails: int) -> list[str]:
        """Return what differs from an order that ended as `expected`."""
        ending = self.ending()
        checks: list[tuple[str, object, object]] = [
            ("final state", ending, expected),
            ("gateway's charges", self._charges(), self._expected_charges()),
            ("approved charges", self._approved(), int(ending == CONFIRMED)),
            ("stock movements", self._moved(), self._expected_movements(ending)),
            ("stock and its movements", self.product["stock"], sum(self._moved())),
            ("units in the cart", self.in_carts, 0 if ending == CONFIRMED else QUANTITY),
            ("e-mails", len(self.emails), emails if ending == CONFIRMED else 0),
            ("total of the lines", self._cost(), [_money(sale["total"]) for sale in self.sales]),
        ]
        return [
            f"{name}: {actual!r}, expected {required!r}"
            for name, actual, required in checks
            if actual != required
        ]

    def _expected_charges(self) -> list[tuple[object, ...]]:
        """Return the charges that the gateway must have, according to our payments."""
        rows: list[tuple[object, ...]] = []
        for payment in self.payments:
            status = _AT_GATEWAY.get(self.ending(), "unfinished")
            has_amount = status != "cancelled"  # a key cancelled before a charge has no amount
            amount, currency = _money(payment["amount"]), payment["currency"]
            rows.append(
                (
                    payment["key"],
                    status,
                    amount if has_amount else None,
                    currency if has_amount else None,
                )
            )
        return sorted(rows, key=str)

    def _charges(self) -> list[tuple[object, ...]]:
        rows = [
            (charge["key"], charge["status"], _money(charge["amount"]), charge["currency"])
            for charge in self.charges
        ]
        return sorted(rows, key=str)

    def _approved(self) -> int:
        return sum(charge["status"] == "approved" for charge in self.charges)

    def _moved(self) -> list[int]:
        return [movement["quantity"] for movement in self.movements]

    @staticmethod
    def _expected_movements(ending: str) -> list[int]:
        sold = [STOCK, -QUANTITY]
        return {NOTHING: [STOCK], CONFIRMED: sold}.get(ending, [*sold, QUANTITY])

    def _cost(self) -> list[str | None]:
        return [_money(item["unit_price"] * item["quantity"]) for item in self.items]
