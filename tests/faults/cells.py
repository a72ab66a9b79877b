"""The cells of the matrix: each order's stopping point, fault and expected final state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.faults.plans import (
    CHARGES,
    EMAIL_STEPS,
    GATEWAYS,
    INSIDE_RESERVE,
    WEB_STEPS,
    WORKER_STEPS,
    Plan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = os.environ.get("FAULTS") == "all"
ON_POSTGRES = ALL or os.environ.get("DATABASE_URL", "").startswith("postgres")

NOTHING, CONFIRMED, FAILED, CANCELLED = "nothing", "confirmed", "failed", "cancelled"
# States of an unfinished order at the time of the fault.
PENDING, UNKNOWN = "pending", "unknown"

KILLED, RESTARTED, STALLED = "killed", "loses PostgreSQL", "pauses"
SIGNALLED = "stopped by signals to its group"
HUNG, SET_BACK = "loses a hung PostgreSQL", "killed, clock set back,"

NOT_CHARGED = {INSIDE_RESERVE, "after reserve"}  # steps before the gateway is called
# Steps at which it is stored that nothing was sent, if the connection was refused: then it is sent.
KNOWN_UNSENT = {"inside settle", "after settle"}

_numbers = count(1)


@dataclass(frozen=True)
class Cell:
    """An order: its plan, its row in the table, its state at the fault and at the end."""

    plan: Plan
    row: str
    at_fault: str
    expected: str
    flash: bool = False
    emails_at_fault: int | None = 0  # None: possibly being sent
    emails: int = 1  # at the end, if the order is confirmed

    def __str__(self) -> str:
        words = [self.row, self.plan.gateway, self.plan.sabotage]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True)
class Round:
    """Cells with the same fault, which occurs when all their orders have reached their steps."""

    cells: tuple[Cell, ...]
    fault: str = KILLED
    cancels: bool = False  # the worker cancels keys instead of resending charges
    web_first: bool = False  # web is killed before the worker starts, leaving it unfinished orders


def _ending(gateway: str, *, charged: bool, cancels: bool) -> str:
    """Return an order's final state; `charged`: the gateway was called before the fault."""
    if gateway == "declines":
        return FAILED if charged or not cancels else CANCELLED
    if cancels and not (charged and gateway in CHARGES):
        return CANCELLED
    return CONFIRMED


def _at_fault(step: str, gateway: str) -> str:
    """Return an order's state at a step of its checkout."""
    if step in {"before reserve", INSIDE_RESERVE}:
        return NOTHING
    if step != "after settle":
        return PENDING
    return {"approves": CONFIRMED, "declines": FAILED}.get(gateway, UNKNOWN)


def _plan(gateway: str, web: str = "", worker: str = "", sabotage: str = "") -> Plan:
    return Plan(next(_numbers), gateway, web, worker, sabotage)


def _emails_at(at_fault: str) -> int | None:
    return None if at_fault == CONFIRMED else 0


def web_cells(
    gateways: Iterable[str],
    fault: str,
    *,
    cancels: bool = False,
    steps: Iterable[str] = WEB_STEPS,
    sabotage: str = "",
) -> list[Cell]:
    """Return orders whose web process is hit."""
    return [
        Cell(
            _plan(gateway, web=step, sabotage=sabotage),
            f"web {fault} {step}" + (", worker cancels" if cancels else ""),
            _at_fault(step, gateway),
            NOTHING
            if step == "before reserve"
            else _ending(
                gateway,
                charged=step not in NOT_CHARGED,
                cancels=cancels and not (gateway == "refused" and step in KNOWN_UNSENT),
            ),
            emails_at_fault=_emails_at(_at_fault(step, gateway)),
        )
        for step in steps
        for gateway in gateways
    ]


def flash_web_cells(fault: str) -> list[Cell]:
    """Return flash sale orders whose web process is hit; the worker charges them."""
    return [
        Cell(
            _plan(gateway, web=step),
            f"web {fault} {step}, flash sale",
            _at_fault(step, gateway),
            NOTHING if step == "before reserve" else _ending(gateway, charged=False, cancels=False),
            flash=True,
        )
        for step in ("before reserve", "after reserve")
        for gateway in ("approves", "declines")
    ]


def flash_cells(gateways: Iterable[str], fault: str) -> list[Cell]:
    """Return flash sale orders whose worker is hit."""
    return [
        Cell(
            _plan(gateway, worker=step),
            f"worker {fault} {step}, flash sale",
            _at_fault(step, gateway),
            _ending(gateway, charged=False, cancels=False),
            flash=True,
            emails_at_fault=_emails_at(_at_fault(step, gateway)),
        )
        for step in WORKER_STEPS
        for gateway in gateways
    ]


def sent_again_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders reserved by a killed web process, whose worker is hit while charging."""
    return [
        Cell(
            _plan(gateway, web="after reserve", worker=step),
            f"worker killed {step}, sending again",
            _at_fault(step, gateway),
            _ending(gateway, charged=False, cancels=False),
            emails_at_fault=_emails_at(_at_fault(step, gateway)),
        )
        for step in WORKER_STEPS
        for gateway in gateways
    ]


def cancelled_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders of a web process killed after the charge, whose worker is hit cancelling."""
    cells = []
    for step in WORKER_STEPS:
        for gateway in gateways:
            ending = _ending(gateway, charged=True, cancels=True)
            at_fault = PENDING
            if step == "after settle":
                at_fault = UNKNOWN if gateway == "refused" else ending
            cells.append(
                Cell(
                    _plan(gateway, web="after the gateway call", worker=step),
                    f"worker killed {step}, cancelling",
                    at_fault,
                    ending,
                    emails_at_fault=_emails_at(at_fault),
                )
            )
    return cells


def email_cells(fault: str) -> list[Cell]:
    """Return orders whose worker is hit while it sends their confirmation.

    A worker killed once the mail server has the e-mail, and before that is stored, sends it twice.
    """
    return [
        Cell(
            _plan("approves", worker=step),
            f"worker {fault} {step}",
            CONFIRMED,
            CONFIRMED,
            emails_at_fault=int(step == "after the e-mail"),
            emails=2 if (fault, step) == (KILLED, "after the e-mail") else 1,
        )
        for step in EMAIL_STEPS
    ]


def stalled_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders whose web process pauses until the worker has finished them."""
    steps = ("after reserve", "after the gateway call", "after settle")
    return web_cells(gateways, STALLED, cancels=True, steps=steps)


def hung_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders whose database stops answering.

    Whether the reservation reaches it depends on what the connection has prepared.
    """
    steps = [step for step in WEB_STEPS if step != "before reserve"]
    return [*web_cells(gateways, HUNG, steps=steps), *flash_cells(gateways, HUNG)]


def set_back_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders of killed processes whose successors' clocks are an hour behind."""
    return [*web_cells(gateways, SET_BACK), *flash_cells(gateways, SET_BACK)]


SOME = ("approves", "declines", "answer lost")
IN_THE_STATEMENT = web_cells(["approves", "declines"], KILLED, steps=[INSIDE_RESERVE])
# Bugs in the shop that the checks must detect: see stops.py.
NEW_KEY = [
    *web_cells(["approves"], KILLED, steps=["after settle"], sabotage="new key"),
    *web_cells(["answer lost"], KILLED, steps=["after the gateway call"], sabotage="new key"),
]
SETTLES_TWICE = web_cells(
    ["declines"],
    STALLED,
    cancels=True,
    steps=["after the gateway call"],
    sabotage="settles twice",
)


def _all_rounds() -> list[Round]:
    killed = [*web_cells(GATEWAYS, KILLED), *IN_THE_STATEMENT, *flash_web_cells(KILLED)]
    killed += [*flash_cells(GATEWAYS, KILLED), *email_cells(KILLED), *NEW_KEY]
    cancelled = [*web_cells(GATEWAYS, KILLED, cancels=True), *cancelled_cells(GATEWAYS)]
    restarted = [*web_cells(SOME, RESTARTED), *flash_cells(SOME, RESTARTED)]
    restarted += email_cells(RESTARTED)
    signalled = [*web_cells(SOME, SIGNALLED), *flash_cells(SOME, SIGNALLED)]
    return [
        Round(tuple(killed)),
        Round(tuple(cancelled), cancels=True, web_first=True),
        Round(tuple(sent_again_cells(GATEWAYS)), web_first=True),
        Round(tuple(restarted), fault=RESTARTED),
        Round(tuple(signalled), fault=SIGNALLED),
        Round(tuple(hung_cells(SOME)), fault=HUNG),
        Round(tuple(set_back_cells(SOME)), fault=SET_BACK),
        Round((*stalled_cells(SOME), *SETTLES_TWICE), fault=STALLED, cancels=True),
    ]


def _fast_rounds() -> list[Round]:
    # SQLite has one writer, so only one order can stop inside a transaction.
    gateways = [*SOME, "500"] if ON_POSTGRES else ["answer lost"]
    killed = [*web_cells(gateways, KILLED), *NEW_KEY]
    if ON_POSTGRES:
        killed += [*IN_THE_STATEMENT, *flash_cells(gateways, KILLED), *email_cells(KILLED)]
    stalled = (*stalled_cells(["declines", "answer lost"]), *SETTLES_TWICE)
    return [Round(tuple(killed)), Round(stalled, fault=STALLED, cancels=True)]


ROUNDS = _all_rounds() if ALL else _fast_rounds()
CELLS = [cell for each in ROUNDS for cell in each.cells]
