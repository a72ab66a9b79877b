"""The refunds of shop and gateway after a fault, and whether the books agree.

Read with plain SQL, so that an error in the shop's models cannot hide itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.faults.records import QUANTITY, STOCK, Row, query
from tests.faults.refund_cells import HUMAN, NOTHING, OWED, RefundCell

if TYPE_CHECKING:
    from tests.running.support import RunningShop

_TABLES = {
    "orders": (
        "SELECT sale.reference, sale.delivery_name, sale.cancelled_at, payment.key, payment.amount,"
        " payment.refund_reserved, payment.disputed_at, product.id AS product, product.stock"
        " FROM orders_sale sale JOIN orders_payment payment ON payment.sale_id = sale.id"
        " JOIN orders_saleitem line ON line.sale_id = sale.id"
        " JOIN products_product product ON product.id = line.product_id"
    ),
    "refunds": (
        "SELECT refund.reference, refund.key, refund.amount, refund.status, refund.failure,"
        " refund.settled_at, payment.key AS charge FROM returns_refund refund"
        " JOIN orders_payment payment ON payment.id = refund.payment_id ORDER BY refund.id"
    ),
    "movements": ("SELECT product_id, quantity, reason FROM products_stockmovement ORDER BY id"),
    "emails": "SELECT kind, about FROM retail_email WHERE kind LIKE 'refund%'",
}
_ENDED = {"FAILED", "CANCELLED"}
_AT_GATEWAY = {"SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}


def gateway_rows(shop: RunningShop, table: str) -> list[Row]:
    """Return the gateway's refunds or changes."""
    rows: list[Row] = shop.gateway.get(f"/v1/{table}?limit=1000").json()[table]
    return rows


def _money(value: object) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))


def _sum(rows: list[Row]) -> Decimal:
    return sum((_money(row["amount"]) for row in rows), Decimal("0.00"))


@dataclass
class RefundRecords:
    """All rows of shop and gateway at one moment."""

    shop: RunningShop
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tables = {name: query(self.shop, select) for name, select in _TABLES.items()}
        self.tables["gateway"] = gateway_rows(self.shop, "refunds")

    def _rows(self, table: str, **values: object) -> list[Row]:
        return [
            row for row in self.tables[table]
            if all(row[column] == value for column, value in values.items())
        ]  # fmt: skip

    def entry(self, cell: RefundCell) -> RefundEntry:
        """Return the rows of one cell, found by its order."""
        [order] = self._rows("orders", delivery_name=cell.plan.as_name())
        refunds = self._rows("refunds", charge=order["key"])
        references = {row["reference"] for row in refunds}
        return RefundEntry(
            order=order,
            refunds=refunds,
            at_gateway=self._rows("gateway", charge_key=order["key"]),
            movements=self._rows("movements", product_id=order["product"]),
            emails=sorted(
                row["kind"] for row in self.tables["emails"] if row["about"] in references
            ),
        )


@dataclass(frozen=True)
class RefundEntry:
    """The rows of one order's refund and of those that replaced it."""

    order: Row
    refunds: list[Row]
    at_gateway: list[Row]
    movements: list[Row]
    emails: list[str]

    def current_state(self) -> str:
        """Return the status of the only refund, or NOTHING."""
        return ", ".join(row["status"] for row in self.refunds) or NOTHING

    def ending(self) -> str:
        """Return in words how the refund ended."""
        words = []
        for row in self.refunds:
            if row["status"] in _ENDED:
                words.append("failed" if row["settled_at"] else OWED)
            else:
                status = str(row["status"])
                words.append({"SUCCEEDED": "paid", "NEEDS_HUMAN": HUMAN}.get(status, status))
        return ", ".join(words) or NOTHING

    def mismatches(self, cell: RefundCell) -> list[str]:
        """Return what differs from a refund that ended as the cell says."""
        live = [row for row in self.at_gateway if row["status"] in {"pending", "succeeded"}]
        open_rows = [row for row in self.refunds if row["status"] not in _ENDED]
        sure = [row for row in open_rows if row["status"] != "NEEDS_HUMAN"]
        reserved = _money(self.order["refund_reserved"])
        checks: list[tuple[str, object, object]] = [
            ("end", self.ending(), cell.expected),
            ("gateway's refunds", self._recorded(), self._expected_at_gateway()),
            ("paid at the gateway", _sum(live), _sum(sure)),
            ("reserved", reserved, _sum(open_rows)),
            ("within the payment", reserved <= _money(self.order["amount"]), True),
            ("stock movements", self._moved(), self._expected_movements(cell)),
            ("stock and its movements", self.order["stock"], sum(n for n, _ in self._moved())),
            ("cancelled", self.order["cancelled_at"] is not None, bool(cell.plan.web)),
            ("disputed", self.order["disputed_at"] is not None, cell.plan.gateway == "disputed"),
            ("e-mails", self.emails, self._expected_emails(cell)),
        ]
        return [
            f"{name}: {actual!r}, expected {required!r}"
            for name, actual, required in checks
            if actual != required
        ]

    def _recorded(self) -> list[tuple[Any, ...]]:
        return sorted(
            (row["reference"], row["key"], _money(row["amount"]), row["status"])
            for row in self.at_gateway
        )

    def _expected_at_gateway(self) -> list[tuple[Any, ...]]:
        """Return the gateway's refunds according to ours: one of each that was not refused."""
        return sorted(
            (row["reference"], row["key"], _money(row["amount"]), _AT_GATEWAY[row["status"]])
            for row in self.refunds
            if row["status"] in _AT_GATEWAY and row["failure"] != "disputed"
        )

    def _moved(self) -> list[tuple[int, str]]:
        return [(row["quantity"], row["reason"]) for row in self.movements]

    @staticmethod
    def _expected_movements(cell: RefundCell) -> list[tuple[int, str]]:
        sold = [(STOCK, "seed"), (-QUANTITY, "sale")]
        return [*sold, (QUANTITY, "cancel")] if cell.plan.web else sold

    def _expected_emails(self, cell: RefundCell) -> list[str]:
        """One when it is requested, at each payment, and when what was paid has failed."""
        was_paid = cell.plan.gateway == "succeeds, then fails"
        paid = sum(row["status"] == "SUCCEEDED" for row in self.refunds) + was_paid
        return sorted(["refund_requested", *["refund_paid"] * paid, *["refund_failed"] * was_paid])
