"""Measure orders a second, compared with django-oscar and with the database's limit (README.md).

All measurements take turns, for several rounds. After each run the database is checked: as many
sales as successful answers, as many units as sales, and a stock that matches its movements.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support import report, server
from benchmarks.support.measurements import MEASUREMENTS, Everything, needed, race
from benchmarks.support.peers import Oscar
from benchmarks.support.stage import Plan, shop_stage
from benchmarks.support.tables import figure, machine
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.support.report import Results

MILLION = 1_000_000
_GATEWAY = "benchmarks.support.gateway"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    names = ", ".join([*MEASUREMENTS, "race"])
    parser.add_argument("--only", help=f"measure only these, with commas between: {names}")
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--million", action="store_true", help="also with a million old sales")
    parser.add_argument("--rounds", type=int, default=6, help="rounds (default 6)")
    parser.add_argument("--seconds", type=float, help="seconds of each run (default 4)")
    parser.add_argument("--workers", type=int, default=2, help="processes of each server")
    parser.add_argument("--threads", type=int, default=8, help="threads of each process")
    parser.add_argument("--clients", type=int, default=32, help="clients of each run")
    given = parser.parse_args()
    given.seconds = given.seconds or (1 if given.quick else 4)
    given.only = given.only.split(",") if given.only else [*MEASUREMENTS, "race"]
    if unknown := set(given.only) - {*MEASUREMENTS, "race"}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {names}")
    return given


@contextlib.contextmanager
def _everything(given: argparse.Namespace, plan: Plan) -> Iterator[list[Everything]]:
    """Start all servers; return the shop, and with --million a second one, ready to be measured."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgres())
        gateway = stack.enter_context(server.python(_GATEWAY, folder / "gateway"))
        oscar, buyers, port = None, None, 0
        if {"oscar", "race"} & set(given.only):
            oscar = Oscar(folder / "oscar", server.database(database.url, "oscar"))
            buyers = oscar.buyers(needed(plan, given.only, "oscar"))
            port = stack.enter_context(oscar.serve(workers=plan.workers, threads=plan.threads))
        shops = []
        for sales in (0, MILLION) if given.million else (0,):
            name = f"shop_{sales}"
            url, wanted = server.database(database.url, name), needed(plan, given.only, "shop")
            stage = shop_stage(plan, folder / name, url, gateway, wanted, sales)
            shops.append(
                Everything(stack.enter_context(stage), database.programs, oscar, buyers, port)
            )
        yield shops


def _measure(given: argparse.Namespace, plan: Plan) -> tuple[list[Results], list[tuple[int, int]]]:
    """Take all runs, in turn; return them for each shop, and what the races oversold."""
    with _everything(given, plan) as shops:
        results: list[Results] = [defaultdict(list) for _ in shops]
        races = []
        for number in range(plan.rounds):
            for name in given.only:
                if name == "race":
                    races.append(race(shops[0], f"race-{number}"))
                    continue
                for shop, found in zip(shops, results, strict=True):
                    if MEASUREMENTS[name].whose == "oscar" and found is not results[0]:
                        found[name] = results[0][name]  # there is one of it
                        continue
                    run = MEASUREMENTS[name].measure(shop, f"{name}-{number}")
                    found[name].append(run)
                    print(f"round {number + 1}: {name} {figure(run.rate)}/s", file=sys.stderr)
        return results, races


def main() -> None:
    """Measure what the arguments ask for and print it as Markdown."""
    given = _arguments()
    plan = Plan(given.workers, given.threads, given.clients, given.seconds, given.rounds)
    results, races = _measure(given, plan)
    print(f"{machine()}; PostgreSQL 18 with fsync.\n")
    print(
        f"{plan.rounds} rounds of {plan.seconds:g} s, {plan.clients} clients; each server has "
        f"{plan.workers} processes of {plan.threads} threads. Median (lowest..highest).\n"
    )
    for title, found in zip(("", "With a million old sales:\n\n"), results, strict=False):
        tables = [title + report.rates(found), report.targets(found)]
        print("\n\n".join(table for table in tables if table), end="\n\n")
    if given.million:
        print(report.comparison(*results), end="\n\n")
    if races:
        print(report.oversold(races))


if __name__ == "__main__":
    main()
