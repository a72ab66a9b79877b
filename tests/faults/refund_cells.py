"""The cells of the matrix of refunds: where each is stopped, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.faults.cells import ALL, ON_POSTGRES
from tests.faults.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

CLAIM, MARK, CALL = "after claim", "before sending", "after the gateway call"
INSIDE, AFTER = "inside the adoption", "after the adoption"
WORKER_STEPS = (CLAIM, MARK, CALL, INSIDE, AFTER)
IN_CHANGE = "inside the change"
WEB_BEFORE, WEB_INSIDE, WEB_AFTER = (
    "before the request is stored",
    "inside the transaction",
    "after the request is stored",
)
WEB_STEPS = (WEB_BEFORE, WEB_INSIDE, WEB_AFTER)

DAY_MS = 24 * 3600 * 1000
_PENDING: dict[str, float] = {"refund_pending_ms": DAY_MS}


@dataclass(frozen=True)
class Gateway:
    """The gateway's knobs when a refund is first sent and after the fault, and what comes later.

    `later`: the state that the refund gets once the shop knows the one before. `aged`: minutes by
    which a refund's first request is older after the fault. `at_fault`: what the shop then stored.
    """

    first: dict[str, float]
    at_fault: str
    after: dict[str, float]
    later: str = ""
    aged: int = 0
    records: bool = True  # the first call makes a refund


GATEWAYS = {
    "succeeds": Gateway({}, "SUCCEEDED", {}),
    "500": Gateway({"error_share": 1}, "UNKNOWN", {}, records=False),
    "hangs": Gateway({"hang_share": 1}, "UNKNOWN", {}, records=False),
    "answer lost": Gateway({"lost_answer_share": 1}, "UNKNOWN", {}),
    "pending, then succeeds": Gateway(_PENDING, "PENDING", _PENDING, later="succeeded"),
    "pending, then fails": Gateway(_PENDING, "PENDING", _PENDING, later="failed"),
    "succeeds, then fails": Gateway({}, "SUCCEEDED", {}, later="failed"),
    "cancels": Gateway({"refund_cancel_share": 1}, "CANCELLED", {"refund_cancel_share": 1}),
    "disputed": Gateway(
        {"dispute_share": 1}, "FAILED", {"dispute_share": 1}, aged=20, records=False
    ),
    "keys forgotten": Gateway({"lost_answer_share": 1}, "UNKNOWN", {"key_life_ms": 1}, aged=1500),
}

NOTHING, PAID, AGAIN = "nothing", "paid", "failed, paid"
OWED, HUMAN = "owed", "a person decides"

_numbers = count(1)


@dataclass(frozen=True)
class RefundCell:
    """An order with its refund: its plan, its row in the table, its states."""

    plan: Plan
    row: str
    at_fault: str  # the status of its refund
    recorded: int  # refunds that the gateway has made before the fault
    expected: str

    def __str__(self) -> str:
        words = [self.row, self.plan.gateway, self.plan.sabotage]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True)
class RefundRound:
    """Cells that are stopped at the same time."""

    cells: tuple[RefundCell, ...]
    in_change: bool = False  # stopped where the list of changes is read, which one order can be


def _ending(gateway: str, step: str) -> str:
    """Return how a refund ends.

    After a day, the shop sends nothing again under the old key. What it had marked as sent, and the
    gateway does not list, is for a person; so is a refund that was refused only when asked again.
    """
    if gateway == "keys forgotten":
        return HUMAN if step == MARK else PAID
    if gateway == "disputed":
        return HUMAN if step in {MARK, CALL, INSIDE} else OWED
    if gateway == "cancels":
        return OWED
    return AGAIN if GATEWAYS[gateway].later == "failed" else PAID


def worker_cells(
    gateways: Iterable[str], steps: Iterable[str] = WORKER_STEPS, sabotage: str = ""
) -> list[RefundCell]:
    """Return refunds whose worker is killed."""
    return [
        RefundCell(
            Plan(next(_numbers), gateway, worker=step, sabotage=sabotage),
            f"worker killed {step}",
            GATEWAYS[gateway].at_fault if step == AFTER else "REQUESTED",
            int(GATEWAYS[gateway].records and step not in {CLAIM, MARK}),
            _ending(gateway, step),
        )
        for step in steps
        for gateway in gateways
    ]


def web_cells(gateways: Iterable[str], steps: Iterable[str] = WEB_STEPS) -> list[RefundCell]:
    """Return orders whose cancellation is requested of a web process that is killed."""
    return [
        RefundCell(
            Plan(next(_numbers), gateway, web=step),
            f"web killed {step}",
            "REQUESTED" if step == WEB_AFTER else NOTHING,
            0,
            _ending(gateway, CLAIM),
        )
        for step in steps
        for gateway in gateways
    ]


def change_rounds(gateways: Iterable[str]) -> list[RefundRound]:
    """Return refunds whose worker is killed while it learns from the list what came later."""
    return [
        RefundRound(
            (
                RefundCell(
                    Plan(next(_numbers), gateway, worker=IN_CHANGE),
                    f"worker killed {IN_CHANGE}",
                    GATEWAYS[gateway].at_fault,
                    1,
                    _ending(gateway, IN_CHANGE),
                ),
            ),
            in_change=True,
        )
        for gateway in gateways
    ]


# A bug in the shop that the checks must detect: a new key each time that a refund is sent.
NEW_KEY = [
    *worker_cells(["succeeds"], [CALL], "new key"),
    *worker_cells(["answer lost"], [AFTER], "new key"),
]


def _all_rounds() -> list[RefundRound]:
    later = [name for name, gateway in GATEWAYS.items() if gateway.later]
    cells = (*web_cells(GATEWAYS), *worker_cells(GATEWAYS), *NEW_KEY)
    return [RefundRound(cells), *change_rounds(later)]


def _fast_rounds() -> list[RefundRound]:
    # SQLite has one writer, so only one order can stop inside a transaction.
    if ON_POSTGRES:
        worker = worker_cells(["answer lost", "succeeds, then fails", "keys forgotten"])
        web = web_cells(["succeeds"])
    else:
        worker = worker_cells(["answer lost"])
        web = web_cells(["succeeds"], [WEB_BEFORE, WEB_AFTER])
    return [RefundRound((*web, *worker, *NEW_KEY[:1]))]


ROUNDS = _all_rounds() if ALL else _fast_rounds()
CELLS = [cell for each in ROUNDS for cell in each.cells]
