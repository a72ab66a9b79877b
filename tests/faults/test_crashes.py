"""No order is lost or placed twice, whatever step a fault hits and whatever the gateway does."""

from __future__ import annotations

from pprint import pformat
from typing import TYPE_CHECKING

import pytest

from tests.faults.cells import CELLS, CONFIRMED, FAILED, NOTHING, STALLED, Cell

if TYPE_CHECKING:
    from tests.faults.conftest import Matrix

HEALTHY = [cell for cell in CELLS if not cell.plan.sabotage]
SABOTAGED = [cell for cell in CELLS if cell.plan.sabotage]


@pytest.mark.parametrize("cell", HEALTHY, ids=str)
def test_orders_are_final_and_consistent_after_recovery(cell: Cell, matrix: Matrix) -> None:
    at_fault, settled, again = matrix.entries(cell)
    assert at_fault.current_state() == cell.at_fault, f"{cell} did not stop at its step: {at_fault}"
    if cell.emails_at_fault is not None:
        assert len(at_fault.emails) == cell.emails_at_fault
    if STALLED in cell.row:
        assert matrix.round(cell).first_statuses[cell.plan.number] == 200
    mismatches = settled.mismatches(cell.expected, cell.emails)
    assert not mismatches, f"{cell}: {mismatches}\n{pformat(settled)}"
    # Submitting the form again places a missing order, but never a second one.
    after = cell.expected
    if after == NOTHING:
        after = FAILED if cell.plan.gateway == "declines" else CONFIRMED
    mismatches = again.mismatches(after, cell.emails)
    assert not mismatches, f"{cell}, submitted again: {mismatches}\n{pformat(again)}"
    matrix.passed(cell, settled.ending() + ("" if cell.emails == 1 else ", two e-mails"))


@pytest.mark.parametrize("cell", SABOTAGED, ids=str)
def test_the_checks_detect_bugs_in_the_shop(cell: Cell, matrix: Matrix) -> None:
    _at_fault, settled, _again = matrix.entries(cell)
    mismatches = settled.mismatches(cell.expected, cell.emails)
    expected = "gateway's charges" if cell.plan.sabotage == "new key" else "stock movements"
    assert [mismatch for mismatch in mismatches if mismatch.startswith(expected)], mismatches


def test_the_shops_audit_finds_exactly_these_bugs(matrix: Matrix) -> None:
    """Covers all rounds; the gateway has no other charges that the shop does not know."""
    sabotaged = {cell: matrix.entries(cell)[-1] for cell in CELLS if cell in SABOTAGED}
    entries = [entry for cell, entry in sabotaged.items() if cell.plan.sabotage == "new key"]
    twice = [entry for cell, entry in sabotaged.items() if cell.plan.sabotage == "settles twice"]
    charged = {charge["key"] for entry in entries for charge in entry.charges}
    ours = {payment["key"] for entry in entries for payment in entry.payments}
    assert {row["key"] for row in matrix.unknown_charges()} == charged
    returned_twice = {sale["reference"] for entry in twice for sale in entry.sales}
    assert matrix.audit() == {
        *(("charge_has_payment", key) for key in charged),
        *(("payment_has_charge", key) for key in ours),
        *(("movements_match_order", reference) for reference in returned_twice),
    }
