"""The ledger's tables. A file of an older version is migrated in place.

Amounts are stored as whole hundredths, so that sums are exact. Times are ISO 8601 in UTC with
milliseconds, so that they sort as text.
"""

import sqlite3

CHARGES = """
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
    disputed INTEGER NOT NULL DEFAULT 0 CHECK (disputed IN (0, 1)),
    CHECK ((status = 'approved') = (charge_id IS NOT NULL)),
    CHECK ((status = 'cancelled') = (hundredths IS NULL))
)
"""
# A forgotten key may be used again: only keys that are known are unique.
REFUNDS = """
CREATE TABLE IF NOT EXISTS refunds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    forgotten INTEGER NOT NULL DEFAULT 0 CHECK (forgotten IN (0, 1)),
    charge_key TEXT NOT NULL REFERENCES charges (key),
    refund_id TEXT NOT NULL UNIQUE,
    reference TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed', 'cancelled')),
    reason TEXT,
    hundredths INTEGER NOT NULL CHECK (hundredths > 0),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
)
"""
# Planned changes of refunds are due at a time; a change of a dispute has no refund.
OTHERS = (
    """
    CREATE TABLE IF NOT EXISTS plans (
        id INTEGER PRIMARY KEY,
        refund INTEGER NOT NULL REFERENCES refunds (id),
        status TEXT NOT NULL,
        reason TEXT,
        due_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN (
            'refund.pending', 'refund.succeeded', 'refund.failed', 'refund.cancelled',
            'dispute.opened', 'dispute.closed')),
        charge_key TEXT NOT NULL REFERENCES charges (key),
        refund INTEGER REFERENCES refunds (id),
        created_at TEXT NOT NULL,
        CHECK ((refund IS NULL) = (kind LIKE 'dispute.%'))
    )
    """,
    "CREATE INDEX IF NOT EXISTS refunds_charge_key ON refunds (charge_key)",
    "CREATE UNIQUE INDEX IF NOT EXISTS refunds_known_key ON refunds (key) WHERE forgotten = 0",
    "CREATE INDEX IF NOT EXISTS plans_due ON plans (due_at)",
    "CREATE INDEX IF NOT EXISTS changes_charge_key ON changes (charge_key)",
)
# Before refunds had states, each had succeeded when it was made.
_FROM_OLD_REFUNDS = (
    """
    INSERT INTO refunds
        (id, key, charge_key, refund_id, status, hundredths, created_at, updated_at)
    SELECT id, key, charge_key, refund_id, 'succeeded', hundredths, created_at, created_at
    FROM old_refunds
    """,
    "DROP TABLE old_refunds",
)
_FIRST_CHANGES = """
INSERT INTO changes (kind, charge_key, refund, created_at)
SELECT 'refund.succeeded', charge_key, id, created_at FROM refunds ORDER BY id
"""


def create(db: sqlite3.Connection) -> None:
    """Create missing tables and migrate older ones, within the caller's transaction."""
    db.execute(CHARGES)
    if "disputed" not in _columns(db, "charges"):
        db.execute(
            "ALTER TABLE charges ADD COLUMN"
            " disputed INTEGER NOT NULL DEFAULT 0 CHECK (disputed IN (0, 1))"
        )
    columns = _columns(db, "refunds")
    old = bool(columns) and "status" not in columns
    if old:
        db.execute("ALTER TABLE refunds RENAME TO old_refunds")
    db.execute(REFUNDS)
    for statement in (*(_FROM_OLD_REFUNDS if old else ()), *OTHERS):
        db.execute(statement)
    if old:
        db.execute(_FIRST_CHANGES)


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
