"""The rows of the ledger: its tables, what a row means, and how to read and write one.

Money is kept as a whole number of hundredths, so that sums are exact.
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
    """An idempotency key came again with another amount, currency or charge."""


class NoSuchChargeError(Exception):
    """There is no approved charge under that key."""


class RefundExceedsChargeError(Exception):
    """The refunds of a charge would sum to more than the charge."""


@dataclass(frozen=True)
class Order:
    """What a charge asks for."""

    amount: Decimal
    currency: str
    reference: str


@dataclass(frozen=True)
class Charge:
    """One row of the ledger. A cancelled key has no amount, currency or reference."""

    id: int
    key: str
    status: str
    reason: str | None
    charge_id: str | None
    amount: Decimal | None
    currency: str | None
    reference: str | None
    calls: int  # how often a charge was asked for under this key
    created_at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Refund:
    """Money given back from one charge."""

    refund_id: str
    charge_key: str
    amount: Decimal


@dataclass(frozen=True)
class RefundRow:
    """One row of the refunds."""

    id: int
    key: str
    charge_key: str
    amount: Decimal
    created_at: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Total:
    """How many rows have this status and currency, and what they sum to."""

    status: str
    currency: str | None
    count: int
    amount: Decimal | None


COLUMNS = "id, key, status, reason, charge_id, hundredths, currency, reference, calls, created_at"


def charge_of(row: tuple[Any, ...]) -> Charge:
    """Make a Charge of a row with COLUMNS."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    return Charge(amount=money(values.pop("hundredths")), **values)


def find_charge(db: sqlite3.Connection, key: str) -> Charge | None:
    """Return the charge with this key, if there is one."""
    row = db.execute(f"SELECT {COLUMNS} FROM charges WHERE key = ?", (key,)).fetchone()  # noqa: S608 - COLUMNS is a constant
    return charge_of(row) if row else None


def insert_charge(db: sqlite3.Connection, key: str, order: Order, reason: str | None) -> None:
    """Insert a new charge: declined for ``reason``, or approved if there is none."""
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
    """Return the refund with this key, if there is one."""
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
    """Return what has been given back from this charge so far."""
    row = db.execute(
        "SELECT COALESCE(SUM(hundredths), 0) FROM refunds WHERE charge_key = ?", (charge_key,)
    ).fetchone()
    return Decimal(row[0]) / 100


def money(amount: int | None) -> Decimal | None:
    """Turn hundredths into an amount; nothing stays nothing."""
    return None if amount is None else Decimal(amount) / 100


def hundredths(amount: Decimal) -> int:
    """Turn an amount with at most two decimals into hundredths."""
    return int(amount * 100)


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
