"""Rows of charges."""

import secrets
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


class KeyReusedError(Exception):
    """An idempotency key was used again with another amount, currency or charge."""


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
    disputed: bool  # while it is, it is not refunded


@dataclass(frozen=True)
class Total:
    """Number and sum of the charges with one status and currency."""

    status: str
    currency: str | None
    count: int
    amount: Decimal | None


COLUMNS = (
    "id, key, status, reason, charge_id, hundredths, currency, reference, calls, created_at, "
    "disputed"
)


def charge_of(row: tuple[Any, ...]) -> Charge:
    """Return the Charge of a row with COLUMNS."""
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    disputed = bool(values.pop("disputed"))
    return Charge(amount=money(values.pop("hundredths")), disputed=disputed, **values)


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


def money(amount: int | None) -> Decimal | None:
    """Convert hundredths to an amount; None stays None."""
    return None if amount is None else Decimal(amount) / 100


def hundredths(amount: Decimal) -> int:
    """Convert an amount with at most two decimals to hundredths."""
    return int(amount * 100)


def now() -> str:
    """Return the current time, in ISO 8601 and UTC."""
    return stamp(datetime.now(UTC))


def stamp(at: datetime) -> str:
    """Return a time in UTC as it is stored."""
    return at.isoformat(timespec="milliseconds")
