"""The cells of the matrix: which order, stopped where, struck by what, and how it must end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from tests.faults.plans import (
    CHARGES,
    GATEWAYS,
    INSIDE_RESERVE,
    LETTER_STEPS,
    WEB_STEPS,
    WORKER_STEPS,
    Plan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = os.environ.get("FAULTS") == "all"
ON_POSTGRES = ALL or os.environ.get("DATABASE_URL", "").startswith("postgres")

NOTHING, CONFIRMED, FAILED, CANCELLED = "nothing", "confirmed", "failed", "cancelled"
# Where an order is when the blow falls; or else it has ended already.
PENDING, UNKNOWN = "pending", "unknown"

KILLED, RESTARTED, STALLED = "killed", "loses PostgreSQL", "stands still"

NOT_ASKED = {INSIDE_RESERVE, "after reserve"}  # steps at which the gateway was not called yet

_numbers = count(1)


@dataclass(frozen=True)
class Cell:
    """One order: its plan, its row in the table, what it is at the blow and at the end."""

    plan: Plan
    row: str
    at_blow: str
    expected: str
    flash: bool = False
    letters_at_blow: int | None = 0  # None: may be on their way
    letters: int = 1  # that confirm it in the end, if it is confirmed

    def __str__(self) -> str:
        words = [self.row, self.plan.gateway, self.plan.sabotage]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True)
class Round:
    """Cells that one blow hits: all orders stop at their steps, then it falls."""

    cells: tuple[Cell, ...]
    blow: str = KILLED
    cancels: bool = False  # the worker cancels keys instead of sending charges again
    web_first: bool = False  # web is killed before the worker starts, to leave it something


def _ending(gateway: str, *, asked: bool, cancels: bool) -> str:
    """Return how an accepted order ends; `asked` says that the gateway was, before the blow."""
    if gateway == "declines":
        return FAILED if asked or not cancels else CANCELLED
    if cancels and not (asked and gateway in CHARGES):
        return CANCELLED
    return CONFIRMED


def _at_blow(step: str, gateway: str) -> str:
    """Return what an order is at a step of its charge."""
    if step in {"before reserve", INSIDE_RESERVE}:
        return NOTHING
    if step != "after settle":
        return PENDING
    return {"approves": CONFIRMED, "declines": FAILED}.get(gateway, UNKNOWN)


def _plan(gateway: str, web: str = "", worker: str = "", sabotage: str = "") -> Plan:
    return Plan(next(_numbers), gateway, web, worker, sabotage)


def _letters_at(at_blow: str) -> int | None:
    return None if at_blow == CONFIRMED else 0


def web_cells(
    gateways: Iterable[str],
    struck: str,
    *,
    cancels: bool = False,
    steps: Iterable[str] = WEB_STEPS,
    sabotage: str = "",
) -> list[Cell]:
    """Return orders whose web process stops."""
    return [
        Cell(
            _plan(gateway, web=step, sabotage=sabotage),
            f"web {struck} {step}" + (", worker cancels" if cancels else ""),
            _at_blow(step, gateway),
            NOTHING
            if step == "before reserve"
            else _ending(gateway, asked=step not in NOT_ASKED, cancels=cancels),
            letters_at_blow=_letters_at(_at_blow(step, gateway)),
        )
        for step in steps
        for gateway in gateways
    ]


def flash_web_cells(struck: str) -> list[Cell]:
    """Return orders of a flash sale whose web process stops; the worker does the rest."""
    return [
        Cell(
            _plan(gateway, web=step),
            f"web {struck} {step}, flash sale",
            _at_blow(step, gateway),
            NOTHING if step == "before reserve" else _ending(gateway, asked=False, cancels=False),
            flash=True,
        )
        for step in ("before reserve", "after reserve")
        for gateway in ("approves", "declines")
    ]


def flash_cells(gateways: Iterable[str], struck: str) -> list[Cell]:
    """Return orders of a flash sale whose worker stops."""
    return [
        Cell(
            _plan(gateway, worker=step),
            f"worker {struck} {step}, flash sale",
            _at_blow(step, gateway),
            _ending(gateway, asked=False, cancels=False),
            flash=True,
            letters_at_blow=_letters_at(_at_blow(step, gateway)),
        )
        for step in WORKER_STEPS
        for gateway in gateways
    ]


def sent_again_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders left reserved by a killed web process, whose worker stops at the charge."""
    return [
        Cell(
            _plan(gateway, web="after reserve", worker=step),
            f"worker killed {step}, sending again",
            _at_blow(step, gateway),
            _ending(gateway, asked=False, cancels=False),
            letters_at_blow=_letters_at(_at_blow(step, gateway)),
        )
        for step in WORKER_STEPS
        for gateway in gateways
    ]


def cancelled_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders left charged or not by a killed web process, whose worker stops cancelling."""
    made = []
    for step in WORKER_STEPS:
        for gateway in gateways:
            ending = _ending(gateway, asked=True, cancels=True)
            at_blow = PENDING
            if step == "after settle":
                at_blow = UNKNOWN if gateway == "refused" else ending
            made.append(
                Cell(
                    _plan(gateway, web="after the gateway call", worker=step),
                    f"worker killed {step}, cancelling",
                    at_blow,
                    ending,
                    letters_at_blow=_letters_at(at_blow),
                )
            )
    return made


def letter_cells(struck: str) -> list[Cell]:
    """Return orders whose worker stops while it sends their confirmation.

    A letter is noted as sent before it is: a crash in between loses it, and none comes twice.
    """
    return [
        Cell(
            _plan("approves", worker=step),
            f"worker {struck} {step}",
            CONFIRMED,
            CONFIRMED,
            letters_at_blow=int(step == "with a letter sent"),
            letters=0 if (struck, step) == (KILLED, "with a letter noted") else 1,
        )
        for step in LETTER_STEPS
    ]


def stalled_cells(gateways: Iterable[str]) -> list[Cell]:
    """Return orders whose web process stands still until the worker has finished them."""
    steps = ("after reserve", "after the gateway call", "after settle")
    return web_cells(gateways, STALLED, cancels=True, steps=steps)


SOME = ("approves", "declines", "answer lost")
IN_THE_STATEMENT = web_cells(["approves", "declines"], KILLED, steps=[INSIDE_RESERVE])
# Faults of the shop itself, which must be found out: see stops.py.
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
    killed += [*flash_cells(GATEWAYS, KILLED), *letter_cells(KILLED), *NEW_KEY]
    cancelled = [*web_cells(GATEWAYS, KILLED, cancels=True), *cancelled_cells(GATEWAYS)]
    restarted = [*web_cells(SOME, RESTARTED), *flash_cells(SOME, RESTARTED)]
    restarted += letter_cells(RESTARTED)
    return [
        Round(tuple(killed)),
        Round(tuple(cancelled), cancels=True, web_first=True),
        Round(tuple(sent_again_cells(GATEWAYS)), web_first=True),
        Round(tuple(restarted), blow=RESTARTED),
        Round((*stalled_cells(SOME), *SETTLES_TWICE), blow=STALLED, cancels=True),
    ]


def _fast_rounds() -> list[Round]:
    # SQLite has one writer: of orders that stop inside a transaction there can be but one.
    gateways = [*SOME, "500"] if ON_POSTGRES else ["answer lost"]
    killed = [*web_cells(gateways, KILLED), *NEW_KEY]
    if ON_POSTGRES:
        killed += [*IN_THE_STATEMENT, *flash_cells(gateways, KILLED), *letter_cells(KILLED)]
    stalled = (*stalled_cells(["declines", "answer lost"]), *SETTLES_TWICE)
    return [Round(tuple(killed)), Round(stalled, blow=STALLED, cancels=True)]


ROUNDS = _all_rounds() if ALL else _fast_rounds()
CELLS = [cell for one in ROUNDS for cell in one.cells]
