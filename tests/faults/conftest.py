"""A stage for all rounds, and the table that is printed when they have been played."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.books import Books, ask
from tests.faults.cells import ALL, CELLS, ROUNDS, Cell
from tests.faults.plans import GATEWAYS
from tests.faults.rounds import SETTINGS, Played, Stage
from tests.running.support import RunningShop
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.books import Entry

TITLE = "HOW EACH ORDER ENDED (row: who was struck where; column: what the gateway did)"
LEGEND = """
nothing: no trace of an order, and the cart kept. Every cell with a word has passed all checks: one
end, the gateway's ledger and our payments equal row by row, charged at most once, stock and cart as
they must be, one letter if confirmed; and the same form sent once more made no second order."""

_endings: dict[tuple[str, str], str] = {}


@dataclass
class Matrix:
    """The rounds' books, each round played when a test first asks for one of its cells."""

    stage: Stage
    played: dict[int, Played] = field(default_factory=dict)
    spoilt: dict[int, str] = field(default_factory=dict)

    def round(self, cell: Cell) -> Played:
        """Return the round of a cell, played once."""
        number = next(number for number, one in enumerate(ROUNDS) if cell in one.cells)
        if number in self.spoilt:
            pytest.fail(f"round {number} could not be played: {self.spoilt[number]}")
        if number not in self.played:
            try:
                self.played[number] = self.stage.play(ROUNDS[number])
            except BaseException as error:
                self.spoilt[number] = repr(error)
                self.stage.clear()
                raise
        return self.played[number]

    def entries(self, cell: Cell) -> tuple[Entry, Entry, Entry]:
        """Return what the books of its round say of a cell (see Played)."""
        books = self.round(cell)[:3]
        at_blow, settled, again = (one.entry(cell) for one in books)
        return at_blow, settled, again

    def strangers(self) -> list[dict[str, Any]]:
        """Return the gateway's rows whose keys the shop does not know."""
        return Books(self.stage.shop).strangers()

    def audit(self) -> set[tuple[str, str]]:
        """Return what the shop's own audit of everything finds: promise and subject."""
        with contextlib.suppress(
            subprocess.CalledProcessError
        ):  # its status says that it found some
            self.stage.shop.manage("audit", "--full")
        found = "SELECT invariant, subject FROM retail_auditviolation WHERE resolved_at IS NULL"
        return {(row["invariant"], row["subject"]) for row in ask(self.stage.shop, found)}

    @staticmethod
    def passed(cell: Cell, ending: str) -> None:
        """Note for the table how a cell ended, all checks passed."""
        _endings[cell.row, cell.plan.gateway] = ending


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
        stage = Stage(shop, stops, server)
        stage.stock(CELLS)
        yield Matrix(stage)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _endings:
        return
    columns = [name for name in GATEWAYS if any(name == column for _, column in _endings)]
    healthy = {(cell.row, cell.plan.gateway) for cell in CELLS if not cell.plan.sabotage}
    rows = dict.fromkeys(cell.row for cell in CELLS if not cell.plan.sabotage)
    table = [["", *columns]]
    for row in rows:
        missing = {name: "NOT PASSED" for name in columns if (row, name) in healthy}
        table.append([row, *(_endings.get((row, name), missing.get(name, "")) for name in columns)])
    widths = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
    terminalreporter.section(TITLE)
    for line in table:
        text = "".join(word.ljust(width) for word, width in zip(line, widths, strict=True))
        terminalreporter.line(text.rstrip())
    terminalreporter.line(LEGEND)
