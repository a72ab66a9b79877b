"""The books after a blow: what shop and gateway have written down, and whether it agrees.

Read with plain SQL, so that a mistake in the shop's own models cannot hide itself.
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
_ON_THE_WAY = {
    str([("PENDING", "PENDING", "")]): PENDING,
    str([("PENDING", "UNKNOWN", "")]): UNKNOWN,
}
_AT_GATEWAY = {CONFIRMED: "approved", FAILED: "declined", CANCELLED: "cancelled"}


def ask(shop: RunningShop, *statements: str) -> list[Row]:
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
class Books:
    """Everything written down at one moment."""

    shop: RunningShop
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {name: ask(self.shop, select) for name, select in _TABLES.items()}
        self.charges = self.shop.gateway.get("/v1/charges?limit=1000").json()["charges"]
        mail = self.shop.folder / "var" / "mail"
        text = "\n".join(file.read_text() for file in mail.glob("*"))
        self.letters = re.findall(r"^Subject: Your order (\S+)", text, flags=re.MULTILINE)

    def _of(self, table: str, **wanted: object) -> list[Row]:
        return [
            row for row in self.tables[table]
            if all(row[column] == value for column, value in wanted.items())
        ]  # fmt: skip

    def strangers(self) -> list[Row]:
        """Return the gateway's rows of whose keys the shop knows nothing."""
        known = {payment["key"] for payment in self.tables["payments"]}
        return [charge for charge in self.charges if charge["key"] not in known]

    def entry(self, cell: Cell) -> Entry:
        """Return what concerns one cell: nobody else buys its product."""
        [product] = self._of("products", slug=f"cell-{cell.plan.number}")
        items = self._of("items", product_id=product["id"])
        ids = {item["sale_id"] for item in items}
        sales = [sale for sale in self.tables["sales"] if sale["id"] in ids]
        payments = [row for row in self.tables["payments"] if row["sale_id"] in ids]
        keys = {payment["key"] for payment in payments}
        references = {sale["reference"] for sale in sales}
        return Entry(
            product=product,
            sales=sales,
            items=items,
            payments=payments,
            movements=self._of("movements", product_id=product["id"]),
            in_carts=sum(row["quantity"] for row in self._of("in_carts", product_id=product["id"])),
            charges=[
                charge for charge in self.charges
                if charge["key"] in keys or charge["reference"] in references
            ],
            letters=[letter for letter in self.letters if letter in references],
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What the books say of one order."""

    product: Row
    sales: list[Row]
    items: list[Row]
    payments: list[Row]
    movements: list[Row]
    in_carts: int
    charges: list[Row]
    letters: list[str]

    def ending(self) -> str:
        """Return how it ended, in one word, or the states that are no ending."""
        if not self.sales:
            return NOTHING
        states = [
            (sale["status"], payment["status"], payment["failure_reason"])
            for sale in self.sales
            for payment in self.payments
        ]
        return _ENDINGS.get(states[0], str(states)) if len(states) == 1 else str(states)

    def standing(self) -> str:
        """Return where it stands in one word, be it at its end or not."""
        ending = self.ending()
        return _ON_THE_WAY.get(ending, ending)

    def complaints(self, expected: str, letters: int) -> list[str]:
        """Return what is not as it must be after `expected`; "" with no complaint at all."""
        ending = self.ending()
        wanted: list[tuple[str, object, object]] = [
            ("the order's end", ending, expected),
            ("the gateway's rows against our payments", self._theirs(), self._ours()),
            ("charges approved", self._approved(), int(ending == CONFIRMED)),
            ("the stock's movements", self._moved(), self._must_have_moved(ending)),
            ("stock against its movements", self.product["stock"], sum(self._moved())),
            ("units in the cart", self.in_carts, 0 if ending == CONFIRMED else QUANTITY),
            ("letters", len(self.letters), letters if ending == CONFIRMED else 0),
            ("what the lines cost", self._cost(), [_money(sale["total"]) for sale in self.sales]),
        ]
        return [f"{what}: {is_!r}, not {must!r}" for what, is_, must in wanted if is_ != must]

    def _ours(self) -> list[tuple[object, ...]]:
        """Return the rows that the gateway's ledger must have, going by our payments."""
        rows: list[tuple[object, ...]] = []
        for payment in self.payments:
            status = _AT_GATEWAY.get(self.ending(), "no end")
            known = status != "cancelled"  # a key cancelled before a charge has no amount
            amount, currency = _money(payment["amount"]), payment["currency"]
            rows.append(
                (payment["key"], status, amount if known else None, currency if known else None)
            )
        return sorted(rows, key=str)

    def _theirs(self) -> list[tuple[object, ...]]:
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
    def _must_have_moved(ending: str) -> list[int]:
        gone = [STOCK, -QUANTITY]
        return {NOTHING: [STOCK], CONFIRMED: gone}.get(ending, [*gone, QUANTITY])

    def _cost(self) -> list[str | None]:
        return [_money(item["unit_price"] * item["quantity"]) for item in self.items]
