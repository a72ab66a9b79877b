"""The fault matrix, run once per session, and the table printed at its end."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import refund_cells
from tests.faults.cells import ALL, CELLS, ROUNDS, Cell
from tests.faults.plans import GATEWAYS
from tests.faults.records import Records, query
from tests.faults.results import Results
from tests.faults.rounds import SETTINGS, FaultRunner, RoundResult
from tests.running.support import RunningShop
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.faults.records import Entry
    from tests.faults.refund_cells import RefundCell
    from tools.with_postgres import Postgres

TITLE = "FINAL STATE OF EACH ORDER (row: fault and step; column: behaviour of the gateway)"
LEGEND = """
nothing: no trace of an order, and the cart is kept. Every cell with a state has passed all checks:
one final state, the gateway's charges match our payments, at most one charge, correct stock and
cart, its e-mails, and no second order when the same form is submitted again."""

MAIL_TITLE = "MAIL THAT TAKES ITS TIME (each order's confirmation)"
MAIL_HEADER = ("the mail server …", "the outbox says", "copies accepted")

_endings: dict[tuple[str, str], str] = {}
mail_rows: dict[str, tuple[str, str]] = {}  # of the cases that passed


REFUND_TITLE = "FINAL STATE OF EACH REFUND (row: what is killed; column: the gateway)"
REFUND_LEGEND = """
owed: the debt is open, on the desk. Every cell with a state has passed all checks: the gateway has
refunded what the shop says, once for each refund; what is reserved is the sum; correct stock and
e-mails."""
refund_endings: dict[tuple[str, str], str] = {}


def audit_of(shop: RunningShop) -> set[tuple[str, str]]:
    """Return the violations that the shop's full audit finds: invariant and subject."""
    with contextlib.suppress(subprocess.CalledProcessError):  # raised if there are violations
        shop.manage("audit", "--full")
    select = "SELECT invariant, subject FROM retail_auditviolation WHERE resolved_at IS NULL"
    return {(row["invariant"], row["subject"]) for row in query(shop, select)}


class Matrix:
    """The results of all rounds."""

    def __init__(self, runner: FaultRunner) -> None:
        self.runner = runner
        self._results = Results(ROUNDS, runner.run, runner.clear)

    def round(self, cell: Cell) -> RoundResult:
        """Return the result of a cell's round."""
        return self._results.of(cell)

    def entries(self, cell: Cell) -> tuple[Entry, Entry, Entry]:
        """Return a cell's rows at each moment of its round (see RoundResult)."""
        records = self.round(cell)[:3]
        at_fault, settled, again = (each.entry(cell) for each in records)
        return at_fault, settled, again

    def unknown_charges(self) -> list[dict[str, Any]]:
        """Return the gateway's charges whose keys the shop does not know."""
        return Records(self.runner.shop).unknown_charges()

    def audit(self) -> set[tuple[str, str]]:
        """Return the violations that the shop's full audit finds: invariant and subject."""
        return audit_of(self.runner.shop)

    @staticmethod
    def passed(cell: Cell, ending: str) -> None:
        """Record the final state of a cell that passed all checks, for the table."""
        _endings[cell.row, cell.plan.gateway] = ending


@pytest.fixture(scope="module")
def fault_server() -> Iterator[Postgres | None]:
    """Yield a server of its own for all rows, whose database no other test uses."""
    with postgres() if ALL else contextlib.nullcontext() as server:
        yield server


@pytest.fixture(scope="session")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("faults")
    stops = folder / "stops"
    stops.mkdir()
    settings = {**SETTINGS, "STOPS_FOLDER": str(stops)}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(postgres()) if ALL else None
        if server is not None:
            settings["DATABASE_URL"] = server.url
        shop = RunningShop(folder, settings)
        stack.callback(shop.close)
        runner = FaultRunner(shop, stops, server)
        runner.create_products(CELLS)
        yield Matrix(runner)


def _table(
    endings: dict[tuple[str, str], str],
    cells: Sequence[Cell] | Sequence[RefundCell],
    gateways: Iterable[str],
) -> list[list[str]]:
    """Return the table of a matrix's endings, with what has not passed."""
    columns = [name for name in gateways if any(name == column for _, column in endings)]
    healthy = {(cell.row, cell.plan.gateway) for cell in cells if not cell.plan.sabotage}
    rows = dict.fromkeys(cell.row for cell in cells if not cell.plan.sabotage)
    table = [["", *columns]]
    for row in rows:
        missing = {name: "NOT PASSED" for name in columns if (row, name) in healthy}
        table.append([row, *(endings.get((row, name), missing.get(name, "")) for name in columns)])
    return table


def _print(terminalreporter: pytest.TerminalReporter, title: str, table: list[list[str]]) -> None:
    widths = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
    terminalreporter.section(title)
    for line in table:
        text = "".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        terminalreporter.line(text.rstrip())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if mail_rows:
        lines = [[row, *result] for row, result in mail_rows.items()]
        _print(terminalreporter, MAIL_TITLE, [list(MAIL_HEADER), *lines])
    if _endings:
        _print(terminalreporter, TITLE, _table(_endings, CELLS, GATEWAYS))
        terminalreporter.line(LEGEND)
    if refund_endings:
        table = _table(refund_endings, refund_cells.CELLS, refund_cells.GATEWAYS)
        _print(terminalreporter, REFUND_TITLE, table)
        terminalreporter.line(REFUND_LEGEND)
