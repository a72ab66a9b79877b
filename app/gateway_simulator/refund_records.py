"""Rows of refunds, of their planned changes, and of all changes of state."""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway_simulator.fates import Step
from gateway_simulator.records import hundredths

STATUSES = ("pending", "succeeded", "failed", "cancelled")
KINDS = (*(f"refund.{status}" for status in STATUSES), "dispute.opened", "dispute.closed")
GIVEN_BACK = ("failed", "cancelled")  # their amount is the charge's again
NEXT = {"pending": STATUSES[1:], "succeeded": ("failed",)}


@dataclass(frozen=True)
class RefundOrder:
    """The requested refund."""

    charge_key: str
    amount: Decimal
    reference: str | None


@dataclass(frozen=True)
class Refund:
    """A refund of one charge."""

    id: int
    key: str
    refund_id: str
    charge_key: str
    reference: str | None
    status: str
    reason: str | None  # why it has failed or was cancelled
    amount: Decimal
    currency: str | None
    created_at: str  # ISO 8601, UTC
    updated_at: str


@dataclass(frozen=True)
class Change:
    """A change of a refund's state, the first included, or of a charge's dispute.

    The reference and amount are the refund's, or those of the disputed charge.
    """

    id: int
    kind: str
    charge_key: str
    refund_id: str | None
    refund_key: str | None
    reference: str | None
    amount: Decimal
    created_at: str  # when it happened, though it may be recorded later


# A charge whose row is gone leaves refunds without a currency.
_SELECT = """
SELECT r.id, r.key, r.refund_id, r.charge_key, r.reference, r.status, r.reason,
    r.hundredths AS amount, c.currency, r.created_at, r.updated_at
FROM refunds r LEFT JOIN charges c ON c.key = r.charge_key
"""
_CHANGES = """
SELECT h.id, h.kind, h.charge_key, r.refund_id, r.key AS refund_key,
    CASE WHEN h.refund IS NULL THEN c.reference ELSE r.reference END AS reference,
    COALESCE(r.hundredths, c.hundredths, 0) AS amount, h.created_at
FROM changes h LEFT JOIN refunds r ON r.id = h.refund LEFT JOIN charges c ON c.key = h.charge_key
WHERE h.id > ? ORDER BY h.id LIMIT ?
"""


def select(db: sqlite3.Connection, rest: str, values: Iterable[object]) -> list[Refund]:
    """Return refunds (``r``); ``rest`` is the SQL of conditions, order and limit."""
    return [Refund(**row) for row in _rows(db.execute(_SELECT + rest, tuple(values)))]


def known(db: sqlite3.Connection, key: str) -> Refund | None:
    """Return the refund with this key, unless the key is forgotten."""
    rows = select(db, "WHERE r.key = ? AND r.forgotten = 0", (key,))
    return rows[0] if rows else None


def changes(db: sqlite3.Connection, after: int, limit: int) -> list[Change]:
    """Return up to ``limit`` changes with an id above ``after``, in order."""
    return [Change(**row) for row in _rows(db.execute(_CHANGES, (after, limit)))]


def _rows(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    """Yield rows by column, with hundredths as the amount."""
    names = [column[0] for column in cursor.description]
    for row in cursor:
        values = dict(zip(names, row, strict=True))
        yield {**values, "amount": Decimal(values["amount"]) / 100}


def refunded(db: sqlite3.Connection, charge_keys: list[str]) -> dict[str, Decimal]:
    """Return the amounts refunded of those charges that have refunds, by key."""
    marks = ", ".join("?" * len(charge_keys))
    rows = db.execute(
        f"SELECT charge_key, SUM(hundredths) FROM refunds WHERE charge_key IN ({marks})"  # noqa: S608 - question marks
        " AND status NOT IN (?, ?) GROUP BY charge_key",
        [*charge_keys, *GIVEN_BACK],
    )
    return {key: Decimal(total) / 100 for key, total in rows}


def forget(db: sqlite3.Connection, key: str, before: str) -> None:
    """Forget a key that was first used at ``before`` or earlier."""
    db.execute(
        "UPDATE refunds SET forgotten = 1 WHERE key = ? AND forgotten = 0 AND created_at <= ?",
        (key, before),
    )


def insert(db: sqlite3.Connection, key: str, order: RefundOrder, step: Step, now: str) -> str:
    """Insert a refund in its first state, with its change; return its id for others."""
    refund_id = f"re_{secrets.token_hex(12)}"
    cursor = db.execute(
        "INSERT INTO refunds (key, charge_key, refund_id, reference, status, reason, hundredths,"
        " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            order.charge_key,
            refund_id,
            order.reference,
            step.status,
            step.reason,
            hundredths(order.amount),
            now,
            now,
        ),
    )
    _add_change(db, f"refund.{step.status}", order.charge_key, cursor.lastrowid, now)
    return refund_id


def plan(db: sqlite3.Connection, refund: int, step: Step, due_at: str) -> None:
    """Plan a later change of a refund."""
    db.execute(
        "INSERT INTO plans (refund, status, reason, due_at) VALUES (?, ?, ?, ?)",
        (refund, step.status, step.reason, due_at),
    )


def due(db: sqlite3.Connection, now: str) -> list[tuple[Any, ...]]:
    """Return the planned changes that are due: plan, refund, status, reason, time."""
    return db.execute(
        "SELECT id, refund, status, reason, due_at FROM plans WHERE due_at <= ?"
        " ORDER BY due_at, id",
        (now,),
    ).fetchall()


def drop_plan(db: sqlite3.Connection, plan_id: int) -> None:
    """Remove a planned change that is made."""
    db.execute("DELETE FROM plans WHERE id = ?", (plan_id,))


def drop_plans(db: sqlite3.Connection, refund: int) -> None:
    """Remove all planned changes of a refund."""
    db.execute("DELETE FROM plans WHERE refund = ?", (refund,))


def set_status(db: sqlite3.Connection, refund: int, step: Step, at: str) -> str:
    """Change a refund's state; return the kind of the change."""
    db.execute(
        "UPDATE refunds SET status = ?, reason = ?, updated_at = ? WHERE id = ?",
        (step.status, step.reason, at, refund),
    )
    kind = f"refund.{step.status}"
    [(charge_key,)] = db.execute("SELECT charge_key FROM refunds WHERE id = ?", (refund,))
    _add_change(db, kind, charge_key, refund, at)
    return kind


def _add_change(
    db: sqlite3.Connection, kind: str, charge_key: str, refund: int | None, at: str
) -> None:
    db.execute(
        "INSERT INTO changes (kind, charge_key, refund, created_at) VALUES (?, ?, ?, ?)",
        (kind, charge_key, refund, at),
    )


def set_disputed(db: sqlite3.Connection, charge_key: str, now: str, *, is_open: bool) -> str:
    """Open or close the dispute of a charge; return the kind of the change."""
    db.execute("UPDATE charges SET disputed = ? WHERE key = ?", (is_open, charge_key))
    kind = "dispute.opened" if is_open else "dispute.closed"
    _add_change(db, kind, charge_key, None, now)
    return kind


def was_disputed(db: sqlite3.Connection, charge_key: str) -> bool:
    """Return whether the charge has or had a dispute."""
    row = db.execute(
        "SELECT 1 FROM changes WHERE charge_key = ? AND kind = 'dispute.opened'", (charge_key,)
    )
    return row.fetchone() is not None
