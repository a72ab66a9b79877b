"""A ledger file of an older version is migrated in place."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.refund_records import Change, Refund, RefundOrder
from gateway_simulator.refunds import Refunds

AT = "2026-01-01T00:00:00.000+00:00"
BEFORE_STATES = """
CREATE TABLE charges (
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
CREATE TABLE refunds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    charge_key TEXT NOT NULL REFERENCES charges (key),
    refund_id TEXT NOT NULL UNIQUE,
    hundredths INTEGER NOT NULL CHECK (hundredths > 0),
    created_at TEXT NOT NULL
);
CREATE INDEX refunds_charge_key ON refunds (charge_key);
INSERT INTO charges VALUES
    (4, 'k1', 'approved', NULL, 'ch_1', 1250, 'EUR', 'VT-A', 1, '2026-01-01T00:00:00.000+00:00');
INSERT INTO refunds VALUES (7, 'r1', 'k1', 're_1', 500, '2026-01-01T00:00:00.000+00:00');
INSERT INTO refunds VALUES (9, 'r2', 'k1', 're_2', 250, '2026-01-02T00:00:00.000+00:00');
"""


def older(path: Path) -> Ledger:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(BEFORE_STATES)
    ledger = Ledger(path)
    for _ in range(2):  # a gateway creates its tables twice, and at each start
        ledger.create()
    return ledger


def test_refunds_from_before_there_were_states_have_succeeded(tmp_path: Path) -> None:
    ledger = older(tmp_path / "ledger.sqlite3")
    refunds = Refunds(ledger, Faults())
    first = Refund(
        id=7,
        key="r1",
        refund_id="re_1",
        charge_key="k1",
        reference=None,
        status="succeeded",
        reason=None,
        amount=Decimal("5.00"),
        currency="EUR",
        created_at=AT,
        updated_at=AT,
    )
    rows = refunds.rows(0, 10)
    assert (rows[0], [row.id for row in rows]) == (first, [7, 9])
    change = Change(1, "refund.succeeded", "k1", "re_1", "r1", None, Decimal("5.00"), created_at=AT)
    changes = refunds.changes(0, 10)
    assert (changes[0], [row.refund_key for row in changes]) == (change, ["r1", "r2"])
    [charge] = ledger.rows(0, 10)
    assert (charge.id, charge.disputed) == (4, False)
    assert refunds.refunded([charge]) == {"k1": Decimal("7.50")}
    ledger.close()


def test_an_older_ledger_goes_on(tmp_path: Path) -> None:
    ledger = older(tmp_path / "ledger.sqlite3")
    refunds = Refunds(ledger, Faults())
    replay, replayed = refunds.refund("r1", RefundOrder("k1", Decimal(5), "RF-1"))
    assert (replay.refund_id, replayed) == ("re_1", True)
    new, _ = refunds.refund("r3", RefundOrder("k1", Decimal(5), "RF-3"))
    assert new.id == 10
    failed = refunds.set_state("re_1", "failed")
    assert [change.kind for change in refunds.changes(2, 10)] == [
        "refund.succeeded",
        "refund.failed",
    ]
    assert (failed.reference, failed.status) == (None, "failed")
    assert refunds.dispute("k1", is_open=True).disputed
    assert ledger.connection().execute("PRAGMA foreign_key_check").fetchall() == []
    ledger.close()
