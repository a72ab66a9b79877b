"""Refunds and disputes of charges.

A refund's planned changes are made when the next call reads or writes refunds, dated when they
were due. No thread is needed.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gateway_simulator import records
from gateway_simulator import refund_records as table
from gateway_simulator.fates import Step, steps, turns_out_disputed
from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.records import Charge, KeyReusedError, stamp
from gateway_simulator.refund_records import Change, Refund, RefundOrder


class NoSuchChargeError(Exception):
    """No approved charge has this key."""


class NoSuchRefundError(Exception):
    """No refund has this id."""


class RefundExceedsChargeError(Exception):
    """The refunds of a charge would exceed the charge."""


class ChargeDisputedError(Exception):
    """The charge is disputed."""


class StateError(Exception):
    """A refund cannot change from its state to the other."""


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


class Refunds:
    """The refunds in a ledger. Thread-safe."""

    def __init__(
        self,
        ledger: Ledger,
        faults: Faults,
        *,
        clock: Callable[[], datetime] = utc_now,
        on_change: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._clock = clock
        self._on_change = on_change

    def refund(self, key: str, order: RefundOrder) -> tuple[Refund, bool]:
        """Refund part or all of a charge. Returns the refund and whether this was a replay.

        Raises KeyReusedError, NoSuchChargeError, RefundExceedsChargeError or ChargeDisputedError:
        then no refund is recorded.
        """
        knobs = self._faults.now()
        with self._changing() as (db, now, kinds):
            if knobs.key_life_ms:
                table.forget(db, key, stamp(now - timedelta(milliseconds=knobs.key_life_ms)))
            if before := table.known(db, key):
                if (before.charge_key, before.amount) != (order.charge_key, order.amount):
                    raise KeyReusedError
                return before, True
            _check(db, order)
            refund = None
            if self._turns_out_disputed(db, order.charge_key):
                kinds.append(table.set_disputed(db, order.charge_key, stamp(now), is_open=True))
            else:
                refund = self._insert(db, key, order, now)
                kinds.append(f"refund.{refund.status}")
        if refund is None:  # raised only now, so that the dispute is recorded
            raise ChargeDisputedError
        return refund, False

    def _turns_out_disputed(self, db: sqlite3.Connection, charge_key: str) -> bool:
        of_share = turns_out_disputed(self._faults.now(), charge_key)
        return of_share and not table.was_disputed(db, charge_key)

    def _insert(
        self, db: sqlite3.Connection, key: str, order: RefundOrder, now: datetime
    ) -> Refund:
        first, *later = steps(self._faults.now(), self._faults.chance())
        refund_id = table.insert(db, key, order, first, stamp(now))
        refund = _of_id(db, refund_id)
        for step in later:
            table.plan(db, refund.id, step, stamp(now + timedelta(milliseconds=step.after_ms)))
        return refund

    def set_state(self, refund_id: str, status: str) -> Refund:
        """Change a refund's state by hand, and drop its planned changes.

        Raises NoSuchRefundError or StateError.
        """
        with self._changing() as (db, now, kinds):
            refund = _of_id(db, refund_id)
            if status != refund.status:
                if status not in table.NEXT.get(refund.status, ()):
                    raise StateError(f"A refund that is {refund.status} cannot become {status}.")
                reason = "set_by_operator" if status in table.GIVEN_BACK else None
                kinds.append(table.set_status(db, refund.id, Step(status, reason), stamp(now)))
            table.drop_plans(db, refund.id)
            return _of_id(db, refund_id)

    def dispute(self, charge_key: str, *, is_open: bool) -> Charge:
        """Open or close the dispute of a charge; return it. Raises NoSuchChargeError."""
        with self._changing() as (db, now, kinds):
            charge = _approved(db, charge_key)
            if charge.disputed != is_open:
                kinds.append(table.set_disputed(db, charge_key, stamp(now), is_open=is_open))
            return _approved(db, charge_key)

    def rows(self, after: int, limit: int, charge_key: str | None = None) -> list[Refund]:
        """Return up to ``limit`` refunds (of a charge) with an id above ``after``, in order."""
        of_charge, keys = (
            ("", ()) if charge_key is None else ("AND r.charge_key = ?", (charge_key,))
        )
        return self._select(
            f"WHERE r.id > ? {of_charge} ORDER BY r.id LIMIT ?", after, *keys, limit
        )

    def newest(self, limit: int) -> list[Refund]:
        """Return the ``limit`` newest refunds, newest first."""
        return self._select("ORDER BY r.id DESC LIMIT ?", limit)

    def changes(self, after: int, limit: int) -> list[Change]:
        """Return up to ``limit`` changes with an id above ``after``, in order."""
        return table.changes(self._advanced(), after, limit)

    def refunded(self, charges: list[Charge]) -> dict[str, Decimal]:
        """Return the refunded amounts of those charges that have refunds, by key."""
        return table.refunded(self._advanced(), [charge.key for charge in charges])

    def _select(self, rest: str, *values: object) -> list[Refund]:
        return table.select(self._advanced(), rest, values)

    def _advanced(self) -> sqlite3.Connection:
        """Return a connection, after the changes that are due."""
        db = self._ledger.connection()
        if table.due(db, stamp(self._clock())):
            with self._changing():
                pass
        return db

    @contextmanager
    def _changing(self) -> Iterator[tuple[sqlite3.Connection, datetime, list[str]]]:
        """Make the changes that are due, then the caller's, which adds the kinds of its own.

        They are counted once they are on disk.
        """
        kinds: list[str] = []
        with self._ledger.transaction() as db:
            now = self._clock()  # within, so that changes are in the order of their times
            for plan, refund, status, reason, due_at in table.due(db, stamp(now)):
                table.drop_plan(db, plan)
                kinds.append(table.set_status(db, refund, Step(status, reason), due_at))
            yield db, now, kinds
        for kind in kinds:
            self._on_change(kind)


def _of_id(db: sqlite3.Connection, refund_id: str) -> Refund:
    refunds = table.select(db, "WHERE r.refund_id = ?", (refund_id,))
    if not refunds:
        raise NoSuchRefundError
    return refunds[0]


def _approved(db: sqlite3.Connection, charge_key: str) -> Charge:
    charge = records.find_charge(db, charge_key)
    if charge is None or charge.status != "approved":
        raise NoSuchChargeError
    return charge


def _check(db: sqlite3.Connection, order: RefundOrder) -> None:
    """Raise if a new refund is not possible."""
    charge = _approved(db, order.charge_key)
    if charge.disputed:
        raise ChargeDisputedError
    refunded = table.refunded(db, [charge.key]).get(charge.key, Decimal(0))
    if charge.amount is None or refunded + order.amount > charge.amount:
        raise RefundExceedsChargeError
