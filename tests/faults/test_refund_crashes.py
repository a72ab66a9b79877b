"""No refund is lost or paid twice, whatever step is killed and whatever the gateway does."""

from __future__ import annotations

import contextlib
from pprint import pformat
from typing import TYPE_CHECKING

import pytest

from tests.faults.conftest import audit_of, refund_endings
from tests.faults.refund_cells import CELLS, ROUNDS, RefundCell
from tests.faults.refund_rounds import SETTINGS, RefundRunner
from tests.faults.results import Results
from tests.running.support import RunningShop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.refund_rounds import RefundResult
    from tools.with_postgres import Postgres

HEALTHY = [cell for cell in CELLS if not cell.plan.sabotage]
SABOTAGED = [cell for cell in CELLS if cell.plan.sabotage]


class Matrix:
    """The results of all rounds."""

    def __init__(self, runner: RefundRunner) -> None:
        self.runner = runner
        self._results = Results(ROUNDS, runner.run, runner.clear)

    def round(self, cell: RefundCell) -> RefundResult:
        """Return the result of a cell's round."""
        return self._results.of(cell)


@pytest.fixture(scope="module")
def matrix(
    tmp_path_factory: pytest.TempPathFactory, fault_server: Postgres | None
) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("refunds")
    stops = folder / "stops"
    stops.mkdir()
    settings = {**SETTINGS, "STOPS_FOLDER": str(stops)}
    if fault_server is not None:
        settings["DATABASE_URL"] = fault_server.url
    with contextlib.closing(RunningShop(folder, settings)) as shop:
        runner = RefundRunner(shop, stops)
        yield Matrix(runner)


@pytest.mark.parametrize("cell", HEALTHY, ids=str)
def test_refunds_end_once_and_the_books_agree(cell: RefundCell, matrix: Matrix) -> None:
    at_fault, settled = (each.entry(cell) for each in matrix.round(cell))
    reached = (at_fault.current_state(), len(at_fault.at_gateway))
    assert reached == (cell.at_fault, cell.recorded), f"{cell} did not stop at its step"
    mismatches = settled.mismatches(cell)
    assert not mismatches, f"{cell}: {mismatches}\n{pformat(settled)}"
    refund_endings[cell.row, cell.plan.gateway] = settled.ending()


@pytest.mark.parametrize("cell", SABOTAGED, ids=str)
def test_the_checks_detect_a_second_refund(cell: RefundCell, matrix: Matrix) -> None:
    mismatches = matrix.round(cell).settled.entry(cell).mismatches(cell)
    assert {mismatch.partition(":")[0] for mismatch in mismatches} == {
        "gateway's refunds",
        "paid at the gateway",
    }


def test_the_shops_audit_finds_exactly_these(matrix: Matrix) -> None:
    """Covers all rounds."""
    entries = [matrix.round(cell).settled.entry(cell) for cell in CELLS]
    keys = {
        entry.order["key"] for cell, entry in zip(CELLS, entries, strict=True) if cell.plan.sabotage
    }
    matrix.runner.age_the_gateways_refunds()
    assert audit_of(matrix.runner.shop) == {("refunds_match_gateway", key) for key in keys}
