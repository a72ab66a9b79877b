"""The ledger: a permanent record of charges, declines and cancellations (refunds: refunds.py).

It is one SQLite file. Methods that write return only after their rows are on disk.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway_simulator import records, schema
from gateway_simulator.records import Charge, Order, Total

BUSY_SECONDS = 10


class Ledger:
    """The ledger in the file ``path``. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        # Serializes writers of this process: SQLite only sleeps and retries, so some would wait
        # very long. BEGIN IMMEDIATE serializes writers of other processes.
        self._turn = threading.Lock()

    def create(self) -> None:
        """Create the folder, file and tables if missing. Raises OSError, sqlite3.Error.

        A damaged ledger is refused as a whole: a charge that is not found would be made again.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self.transaction() as db:
            schema.create(db)
        [(found,), *_] = db.execute("PRAGMA quick_check(1)")
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    def close(self) -> None:
        """Close this thread's connection. Call this before the process forks."""
        db: sqlite3.Connection | None = self._local.__dict__.pop("db", None)
        if db is not None:
            db.close()

    def check(self) -> None:
        """Raise sqlite3.Error if the ledger cannot be read."""
        self.connection().execute("SELECT id FROM charges LIMIT 1").fetchone()

    def find(self, key: str) -> Charge | None:
        """Return the charge with this key, if any."""
        return records.find_charge(self.connection(), key)

    def charge(self, key: str, order: Order, reason: str | None) -> tuple[Charge, bool]:
        """Record a charge: declined with ``reason``, or approved without one.

        A known key keeps its first outcome, regardless of ``reason``. Returns the row and whether
        this was a replay. Raises KeyReusedError for another amount or currency.
        """
        with self.transaction() as db:
            before = records.find_charge(db, key)
            if before is None:
                records.insert_charge(db, key, order, reason)
            else:
                db.execute("UPDATE charges SET calls = calls + 1 WHERE key = ?", (key,))
            row = _known(db, key)
        if row.amount is not None and (row.amount, row.currency) != (order.amount, order.currency):
            raise records.KeyReusedError
        return row, before is not None and before.calls > 0

    def cancel(self, key: str) -> tuple[Charge, bool]:
        """Close ``key`` permanently for charges, unless it already has an outcome.

        Returns its row and whether the row is new.
        """
        with self.transaction() as db:
            cursor = db.execute(
                "INSERT INTO charges (key, status, calls, created_at) VALUES (?, 'cancelled', 0, ?)"
                " ON CONFLICT (key) DO NOTHING",
                (key, records.now()),
            )
            return _known(db, key), cursor.rowcount == 1

    def rows(self, after: int, limit: int) -> list[Charge]:
        """Return up to ``limit`` charges with an id above ``after``, in order of creation."""
        rows = self.connection().execute(
            f"SELECT {records.COLUMNS} FROM charges WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant
            (after, limit),
        )
        return [records.charge_of(row) for row in rows]

    def of_keys(self, keys: list[str]) -> list[Charge]:
        """Return the charges with these keys, in order of creation."""
        marks = ", ".join("?" * len(keys))
        rows = self.connection().execute(
            f"SELECT {records.COLUMNS} FROM charges WHERE key IN ({marks}) ORDER BY id",  # noqa: S608 - question marks
            keys,
        )
        return [records.charge_of(row) for row in rows]

    def newest(self, limit: int) -> list[Charge]:
        """Return the ``limit`` newest charges, newest first."""
        rows = self.connection().execute(
            f"SELECT {records.COLUMNS} FROM charges ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
            (limit,),
        )
        return [records.charge_of(row) for row in rows]

    def totals(self) -> list[Total]:
        """Return counts and sums by status and currency."""
        rows = self.connection().execute(
            "SELECT status, currency, COUNT(*), SUM(hundredths) FROM charges"
            " GROUP BY status, currency ORDER BY status, currency"
        )
        return [
            Total(status, cur, count, records.money(total)) for status, cur, count, total in rows
        ]

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection."""
        db: sqlite3.Connection | None = self._local.__dict__.get("db")
        if db is None:
            # isolation_level=None: transactions begin with an explicit BEGIN.
            db = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(
                "PRAGMA synchronous = FULL"
            )  # an acknowledged charge survives a power failure
            db.execute("PRAGMA foreign_keys = ON")
            self._local.db = db
        return db

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write under the lock; an exception rolls back."""
        db = self.connection()
        with self._turn:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:  # an exception was raised
                    db.execute("ROLLBACK")


def _known(db: sqlite3.Connection, key: str) -> Charge:
    charge = records.find_charge(db, key)
    if charge is None:  # rows are never deleted, so this is a bug
        raise LookupError("The row just written is not in the ledger.")
    return charge
