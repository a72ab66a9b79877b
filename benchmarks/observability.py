"""Measure what monitoring costs: the CPU time of a request, watched or not.

Each way of watching has a process of its own. They take short turns, forwards and backwards; what
is compared was measured a fraction of a second apart. All processes are started anew several times.
The CPU time of log shippers and of the disk is not counted. Standard output is a file; a pipe
whose reader sleeps costs a few microseconds more.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "app"), str(ROOT)]

from benchmarks.observed.process import install_otel, prepare, processes
from benchmarks.support.client import HOST
from benchmarks.support.server import python
from benchmarks.support.tables import figure, machine
from benchmarks.support.watching import (
    CONTROL,
    OFF,
    ON,
    PEERS,
    WAYS,
    Cost,
    Launch,
    by_target,
    costs_table,
    verdicts,
)
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from benchmarks.observed.process import Watched

# How many requests are prepared for a round, and in how many turns they are answered.
PAGES = {"bare": 100, "product": 48, "flash": 48, "cart": 48}
TURNS = 4
WARM_UP = 2  # rounds


def chosen(*, everything: bool, control: bool) -> dict[str, list[str]]:
    """Return the ways of watching that are measured on each page."""
    targets = {page: {OFF, ON, *(PEERS if page == "bare" else ())} for page in PAGES}
    wanted = {
        page: (set(WAYS) - {CONTROL} if everything else ways) | ({CONTROL} if control else set())
        for page, ways in targets.items()
    }
    return {page: [way for way in WAYS if way in ways] for page, ways in wanted.items()}


def measure_round(processes: list[Watched], page: str) -> list[list[Cost]]:
    """Let the processes take turns at one page; return each one's cost of a request, by turn."""
    requests = PAGES[page]
    for process in processes:
        process.prepare(page, requests)
    turns: list[list[Cost]] = [[] for _ in processes]
    places = list(range(len(processes)))
    for number in range(TURNS):
        for place in places if number % 2 else reversed(places):
            turns[place].append(processes[place].turn(requests // TURNS))
    written = [process.write() for process in processes]
    return [
        [cost.plus(more, 1 / requests) for cost in costs]
        for costs, more in zip(turns, written, strict=True)
    ]


def measure(watched: list[Watched], rounds: int, ways: dict[str, list[str]]) -> Launch:
    """Measure every page for so many rounds, after some for warming up."""
    costs: Launch = {page: {way: [] for way in ways[page]} for page in PAGES}
    for number in range(rounds + WARM_UP):
        for page in PAGES:
            present = [process for process in watched if process.way in costs[page]]
            for process, turns in zip(present, measure_round(present, page), strict=True):
                if number >= WARM_UP:
                    costs[page][process.way] += turns
    return costs


def launch_all(launches: int, rounds: int, ways: dict[str, list[str]], core: int) -> list[Launch]:
    """Start all processes so many times, and measure each time."""
    with (
        tempfile.TemporaryDirectory() as name,
        postgres() as server,
        python("benchmarks.support.gateway", Path(name) / "gateway") as port,
    ):
        folder, measured = Path(name), []
        gateway = f"http://{HOST}:{port}"
        environment = prepare(folder, server.url, GATEWAY_URL=gateway, CORE=str(core))
        for number in range(launches):
            # Hash seeds differ between launches, and not between the processes of one.
            os.environ["PYTHONHASHSEED"] = str(number + 1)
            with processes(ways["bare"], folder / str(number), environment) as watched:
                measured.append(measure(watched, rounds, ways))
            values = " · ".join(figure(one.median) for _, one in by_target(measured[-1:]))
            print(f"launch {number + 1} of {launches}: {values}", file=sys.stderr)
        return measured


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--launches", type=int, help="of all processes (default 17)")
    parser.add_argument("--rounds", type=int, help="in each launch (default 6)")
    parser.add_argument("--quick", action="store_true", help="fewer launches and rounds")
    parser.add_argument("--all", action="store_true", help="all ways of watching on all pages")
    parser.add_argument("--control", action="store_true", help="measure `off` against itself, too")
    asked = parser.parse_args()
    launches = asked.launches or (6 if asked.quick else 17)
    rounds = asked.rounds or (3 if asked.quick else 6)
    # The watched processes have one core to themselves; PostgreSQL and the gateway the others.
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, cores - {core} or cores)
    ways = chosen(everything=asked.all, control=asked.control)
    install_otel()
    measured = launch_all(launches, rounds, ways, core)
    print(
        f"{machine()}; CPU time of a request, {launches} launches of {rounds} rounds, load "
        f"{os.getloadavg()[0]:.1f}. Median (95 % interval).\n"
    )
    print(costs_table(measured), verdicts(measured), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
