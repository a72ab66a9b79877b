"""Whatever is done to the refunds of a few charges, their books stay right after every step."""

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway_simulator.faults import Faults
from gateway_simulator.ledger import Ledger
from gateway_simulator.records import KeyReusedError, Order
from gateway_simulator.refund_records import NEXT, RefundOrder
from gateway_simulator.refunds import (
    ChargeDisputedError,
    NoSuchChargeError,
    RefundExceedsChargeError,
    Refunds,
    StateError,
)
from tests.gateway_simulator.support import Clock

CHARGES = {"a": Decimal("10.00"), "b": Decimal("0.03")}
REFUSALS = (
    ChargeDisputedError,
    KeyReusedError,
    NoSuchChargeError,
    RefundExceedsChargeError,
)
SHARES = st.sampled_from((0.0, 0.3, 1.0))
WAITS = st.sampled_from((0, 1, 50, 1000))
KNOBS = {
    **dict.fromkeys(("refund_fail_share", "refund_cancel_share"), SHARES),
    **dict.fromkeys(("refund_late_fail_share", "dispute_share"), SHARES),
    **dict.fromkeys(("refund_pending_ms", "refund_late_ms", "key_life_ms"), WAITS),
}


class RefundMachine(RuleBasedStateMachine):
    """Refunds of two charges, under fault knobs that change, while the time passes."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name) / "ledger.sqlite3")
        self.restart()
        for key, amount in CHARGES.items():
            self.ledger.charge(key, Order(amount, "EUR", f"VT-{key}"), None)
        self.clock, self.faults = Clock(), Faults()
        self.counted: list[str] = []
        self.refunds = Refunds(
            self.ledger, self.faults, clock=self.clock, on_change=self.counted.append
        )

    @rule(
        key=st.sampled_from(("r1", "r2", "r3", "r4")),
        charge_key=st.sampled_from((*CHARGES, "unknown")),
        amount=st.sampled_from(("0.01", "0.02", "5.00", "10.00")).map(Decimal),
    )
    def refund(self, key: str, charge_key: str, amount: Decimal) -> None:
        count = len(self.refunds.rows(0, 1000))
        disputed = self.disputed().get(charge_key, False)
        try:
            refund, replayed = self.refunds.refund(
                key, RefundOrder(charge_key, amount, f"RF-{key}")
            )
        except REFUSALS:
            new = 0
        else:
            assert (refund.charge_key, refund.amount) == (charge_key, amount)
            assert replayed or not disputed
            new = 0 if replayed else 1
        assert len(self.refunds.rows(0, 1000)) == count + new

    @rule(place=st.integers(0, 20), state=st.sampled_from(("succeeded", "failed", "cancelled")))
    def set_state(self, place: int, state: str) -> None:
        refunds = self.refunds.rows(0, 1000)
        if refunds:
            chosen = refunds[place % len(refunds)]
            allowed = state in (chosen.status, *NEXT.get(chosen.status, ()))
            try:
                assert self.refunds.set_state(chosen.refund_id, state).status == state
                assert allowed
            except StateError:
                assert not allowed

    @rule(key=st.sampled_from(tuple(CHARGES)), is_open=st.booleans())
    def dispute(self, key: str, is_open: bool) -> None:
        assert self.refunds.dispute(key, is_open=is_open).disputed is is_open

    @rule(changes=st.fixed_dictionaries({}, optional=KNOBS))
    def turn_knobs(self, changes: dict[str, Any]) -> None:
        self.faults.change(changes)

    @rule(milliseconds=st.sampled_from((1, 49, 999, 5000)))
    def wait(self, milliseconds: int) -> None:
        self.clock.forward(milliseconds)

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger.connection().execute("PRAGMA synchronous = OFF")  # this process is not killed
        self.ledger.create()

    def disputed(self) -> dict[str, bool]:
        return {charge.key: charge.disputed for charge in self.ledger.rows(0, 10)}

    @invariant()
    def refunds_never_exceed_the_charge(self) -> None:
        sums = dict.fromkeys(CHARGES, Decimal(0))
        for refund in self.refunds.rows(0, 1000):
            if refund.status not in {"failed", "cancelled"}:
                sums[refund.charge_key] += refund.amount
        assert all(sums[key] <= amount for key, amount in CHARGES.items())
        shown = self.refunds.refunded(self.ledger.rows(0, 10))
        assert {key: total for key, total in sums.items() if total} == shown

    @invariant()
    def replayed_changes_give_the_states(self) -> None:
        statuses: dict[str, str] = {}
        disputed = dict.fromkeys(CHARGES, False)
        changes = self.refunds.changes(0, 10_000)
        for change in changes:
            about, _, to = change.kind.partition(".")
            if about == "dispute":
                assert disputed[change.charge_key] != (to == "opened")
                disputed[change.charge_key] = to == "opened"
                continue
            assert change.refund_id is not None
            before = statuses.get(change.refund_id)
            assert before is None or to in NEXT[before]
            statuses[change.refund_id] = to
        assert statuses == {row.refund_id: row.status for row in self.refunds.rows(0, 1000)}
        assert disputed == self.disputed()
        times = [change.created_at for change in changes]
        assert times == sorted(times)
        assert self.counted == [change.kind for change in changes]

    @invariant()
    def each_known_key_has_one_refund(self) -> None:
        keys = self.ledger.connection().execute("SELECT key FROM refunds WHERE forgotten = 0")
        known = [key for (key,) in keys]
        assert len(known) == len(set(known))

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


TestRefundMachine = RefundMachine.TestCase
TestRefundMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
