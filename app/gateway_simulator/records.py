"""The ledger's tables and rows.

Amounts are stored as whole hundredths, so that sums are exact.
"""

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS charges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('approved', 'declined', 'cancelled')),
    reason TEXT,
    charge_id TEXT UNIQUE,
    hundredths INTEGER CHECK (hundredths > 0),
    currency TEXT,
    reference TEXT,
    calls INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    CHECK ((status = 'approved') = (charge_id IS NOT NULL)),
    CHECK ((status = 'cancelled') = (hundredths IS NULL))
);
CREATE TABLE IF NOT EXISTS refunds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    charge_key TEXT NOT NULL REFERENCES charges (key),
    refund_id TEXT NOT NULL UNIQUE,
    hundredths INTEGER NOT NULL CHECK (hundredths > 0),
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS refunds_charge_key ON refunds (charge_key);
COMMIT;
"""


class KeyReusedError(Exception):
    """An idempotency key was used again with another amount, currency or charge."""


class NoSuchChargeError(Exception):
    """No approved charge has this key."""


class RefundExceedsChargeError(Exception):
    """The refunds of a charge would exceed the charge."""


@dataclass(frozen=True)
class Order:
    """The requested charge."""

    amount: Decimal
    currency: str
    reference: str


@dataclass(frozen=True)
class Charge:
    """A charge in the ledger. A cancelled key has no amount, currency or reference."""

    id: int
    key: str
    status: str
    reason: str | None
    charge_id: str | None
    amount: Decimal | None
    currency: str | None
    reference: str | None
    calls: int  # number of charge requests with this key
    created_at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Refund:
    """A refund of one charge."""

    refund_id: str
    charge_key: str
    amount: Decimal


@dataclass(frozen=True)
class RefundRow:
    """A refund in the ledger."""

    id: int
    key: str
    charge_key: str
    amount: Decimal
    created_at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Total:
    """Number and sum of the charges with one status and currency."""

    status: str
    currency: str | None
    count: int
    amount: Decimal | None


COLUMNS = "id, key, status, reason, charge_id, hundredths, currency, reference, calls, created_at"


def charge_of(row: tuple[Any, ...]) -> Charge:
    """Return the Charge of a row with COLUMNS."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    return Charge(amount=money(values.pop("hundredths")), **values)


def find_charge(db: sqlite3.Connection, key: str) -> Charge | None:
    """Return the charge with this key, if any."""
    row = db.execute(f"SELECT {COLUMNS} FROM charges WHERE key = ?", (key,)).fetchone()  # noqa: S608 - COLUMNS is a constant
    return charge_of(row) if row else None


def insert_charge(db: sqlite3.Connection, key: str, order: Order, reason: str | None) -> None:
    """Insert a new charge: declined with ``reason``, or approved without one."""
    db.execute(
        "INSERT INTO charges"
        " (key, status, reason, charge_id, hundredths, currency, reference, calls, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
        (
            key,
            "declined" if reason else "approved",
            reason,
            None if reason else f"ch_{secrets.token_hex(12)}",
            hundredths(order.amount),
            order.currency,
            order.reference,
            now(),
        ),
    )


def find_refund(db: sqlite3.Connection, key: str) -> Refund | None:
    """Return the refund with this key, if any."""
    row = db.execute(
        "SELECT refund_id, charge_key, hundredths FROM refunds WHERE key = ?", (key,)
    ).fetchone()
    return Refund(row[0], row[1], Decimal(row[2]) / 100) if row else None


def insert_refund(db: sqlite3.Connection, key: str, charge_key: str, amount: Decimal) -> Refund:
    """Insert and return a new refund."""
    refund = Refund(f"re_{secrets.token_hex(12)}", charge_key, amount)
    db.execute(
        "INSERT INTO refunds (key, charge_key, refund_id, hundredths, created_at)"
        " VALUES (?, ?, ?, ?, ?)",
        (key, charge_key, refund.refund_id, hundredths(amount), now()),
    )
    return refund


def refunded(db: sqlite3.Connection, charge_key: str) -> Decimal:
    """Return the amount refunded from this charge so far."""
    row = db.execute(
        "SELECT COALESCE(SUM(hundredths), 0) FROM refunds WHERE charge_key = ?", (charge_key,)
    ).fetchone()
    return Decimal(row[0]) / 100


def money(amount: int | None) -> Decimal | None:
    """Convert hundredths to an amount; None stays None."""
    return None if amount is None else Decimal(amount) / 100


def hundredths(amount: Decimal) -> int:
    """Convert an amount with at most two decimals to hundredths."""
    return int(amount * 100)


def now() -> str:
    """Return the current time, in ISO 8601 and UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
