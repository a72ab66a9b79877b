"""`kill -9` at every step, crossed with what a gateway may do: nothing lost, nothing doubled."""

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
def test_all_is_final_and_agrees_after_recovery(cell: Cell, matrix: Matrix) -> None:
    at_blow, settled, again = matrix.entries(cell)
    assert at_blow.standing() == cell.at_blow, f"{cell} did not stop at its step: {at_blow}"
    if cell.letters_at_blow is not None:
        assert len(at_blow.letters) == cell.letters_at_blow
    if STALLED in cell.row:
        assert matrix.round(cell).answered[cell.plan.number] == 200
    complaints = settled.complaints(cell.expected, cell.letters)
    assert not complaints, f"{cell}: {complaints}\n{pformat(settled)}"
    # The same form once more makes the order that was never made, and no second one.
    after = cell.expected
    if after == NOTHING:
        after = FAILED if cell.plan.gateway == "declines" else CONFIRMED
    complaints = again.complaints(after, cell.letters)
    assert not complaints, f"{cell}, sent once more: {complaints}\n{pformat(again)}"
    matrix.passed(cell, settled.ending() + ("" if cell.letters else ", no letter"))


@pytest.mark.parametrize("cell", SABOTAGED, ids=str)
def test_a_shop_with_a_fault_is_found_out(cell: Cell, matrix: Matrix) -> None:
    _at_blow, settled, _again = matrix.entries(cell)
    complaints = settled.complaints(cell.expected, cell.letters)
    found = "the gateway's rows" if cell.plan.sabotage == "new key" else "the stock's movements"
    assert [complaint for complaint in complaints if complaint.startswith(found)], complaints


def test_the_shops_own_audit_names_the_faults_and_nothing_else(matrix: Matrix) -> None:
    """Over all rounds, and so also: the gateway knows no key that we do not."""
    made_up = [cell for cell in SABOTAGED if cell.plan.sabotage == "new key"]
    entries = [matrix.entries(cell)[-1] for cell in CELLS if cell in made_up]
    charged = {charge["key"] for entry in entries for charge in entry.charges}
    ours = {payment["key"] for entry in entries for payment in entry.payments}
    assert {row["key"] for row in matrix.strangers()} == charged
    assert matrix.audit() == {("charge_has_payment", key) for key in charged} | {
        ("payment_has_charge", key) for key in ours
    }
