"""Measure how fast partners' files are taken in, compared with a plain COPY (README.md).

All measurements of a round start with empty tables, and COPY fills a table with the same indexes.
With --buyers, customers order at a fixed rate, with and without a file being taken in, in pairs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support import books, feed_files, server
from benchmarks.support.buyers import Wanted
from benchmarks.support.peers import import_export
from benchmarks.support.stage import Plan, shop_stage
from benchmarks.support.tables import Spread, figure, machine, markdown, percentile, ratios
from benchmarks.support.targets import Target, targets_table
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MILLION = 1_000_000
KINDS = {
    "copy": "COPY into a table with the same indexes",
    "peer": "django-import-export into such a table, all new",
    "csv": "CSV, all new",
    "again": "CSV, nothing changed",
    "json": "JSON, all new",
    "xml": "XML, all new",
}
TARGETS = {"csv": 0.3, "again": 0.5, "json": 0.25, "xml": 0.2}
MOST_GROWN = 40  # MB
PAIRS, PAIR_ROWS, BROKEN_PERCENT, MOST_SLOWER = 5, 100_000, 3, 1.25
Results = dict[str, list[dict[str, float]]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="1000,100000", help="rows of the files (%(default)s)")
    parser.add_argument("--rounds", type=int, default=6, help="rounds (default 6)")
    parser.add_argument("--quick", action="store_true", help="1,000 rows, 3 rounds")
    parser.add_argument("--million", action="store_true", help="also one round of a million rows")
    parser.add_argument("--buyers", action="store_true", help="also customers, in five pairs")
    parser.add_argument("--rate", type=float, default=20, help="their orders a second")
    parser.add_argument("--seconds", type=float, default=40, help="for which they order")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.rounds = "1000", 3
    given.sizes = {int(count): given.rounds for count in given.rows.split(",")}
    if given.million:
        given.sizes[MILLION] = 1
    return given


def _files(folder: Path, count: int) -> dict[str, Path]:
    """Write a file of each format; return them by what is measured."""
    paths = {kind: folder / f"{count}.{kind}" for kind in KINDS}
    for kind in ("copy", "peer", "csv", "again"):
        feed_files.write_csv(paths[kind], feed_files.rows(count))
    with paths["again"].open("a") as file:
        file.write("\n")  # other bytes, so that it is read
    feed_files.write_json(paths["json"], feed_files.rows(count))
    feed_files.write_xml(paths["xml"], feed_files.rows(count))
    return paths


def _inside(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        **environment,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": f"{server.ROOT}:{server.APP}",
        "LOG_CONSOLE_LEVEL": "ERROR",
    }


def _measure(environment: Mapping[str, str], kind: str, file: Path) -> dict[str, float]:
    if kind == "peer":
        url = environment["DATABASE_URL"]
        books.rows(url, "TRUNCATE feed_copy")
        [(category,)] = books.rows(url, "SELECT id FROM products_category WHERE slug = 'feed'")
        return {"seconds": import_export(file, url, category), "grown": 0.0}
    command = [sys.executable, "-m", "benchmarks.support.taking_in", kind, str(file)]
    measured: dict[str, float] = json.loads(server.call(command, _inside(environment), server.APP))
    return measured


def _sizes(given: argparse.Namespace, folder: Path, url: str) -> dict[int, Results]:
    """Take all measurements of each size of file, in turn."""
    environment = server.shop_environment(folder, url, workers=1, threads=1)
    server.prepare_shop(environment)
    results: dict[int, Results] = {}
    for count, rounds in given.sizes.items():
        files = _files(folder, count)
        results[count] = defaultdict(list)
        for number in range(rounds):
            for kind in KINDS:
                measured = _measure(environment, kind, files[kind])
                results[count][kind].append(measured)
                rate = figure(count / measured["seconds"])
                print(f"{count:,} rows, round {number + 1}: {kind} {rate}/s", file=sys.stderr)
    return results


def _report(results: dict[int, Results]) -> None:
    for count, found in results.items():
        rows = [
            [
                title,
                str(Spread(tuple(count / one["seconds"] for one in found[kind]))),
                figure(max(one["grown"] for one in found[kind])) if kind in TARGETS else "",
            ]
            for kind, title in KINDS.items()
        ]
        print(markdown([f"{count:,} rows", "rows a second", "grows by, MB"], rows), end="\n\n")
        copied = [1 / one["seconds"] for one in found["copy"]]
        targets = [
            (
                Target(f"{count:,} rows: {KINDS[kind]} / COPY", "≥", bound),
                ratios([1 / one["seconds"] for one in found[kind]], copied),
            )
            for kind, bound in TARGETS.items()
        ]
        grown = tuple(max(one["grown"] for one in found[kind]) for kind in TARGETS)
        memory = Target(f"{count:,} rows: memory above idle", "≤", MOST_GROWN, " MB")
        print(targets_table([*targets, (memory, Spread(grown))]), end="\n\n")


@contextlib.contextmanager
def _ingesting(environment: Mapping[str, str], file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Take a file in meanwhile, to its end. Raises ServerError if it was not."""
    command = [sys.executable, "manage.py", "ingest_feed", "pairs", str(file)]
    process = subprocess.Popen(
        command, cwd=server.APP, env=dict(environment), stdout=subprocess.DEVNULL
    )
    try:
        yield process
        if process.wait():
            raise server.ServerError("the file was not taken in")
    finally:
        process.kill()
        process.wait()


_PARTNER = """
from partner_feeds.models import Partner
from products.models import Category
Partner.objects.create(name="Pairs", slug="pairs",
    category=Category.objects.get_or_create(name="Pairs", slug="pairs")[0])
"""


def _pairs(given: argparse.Namespace, folder: Path, url: str) -> None:
    """Let customers order with and without a file, and compare their 95th percentiles."""
    plan = Plan(workers=1, threads=8, clients=16, seconds=given.seconds, rounds=PAIRS)
    orders = int(given.rate * given.seconds)
    wanted = [
        Wanted(f"{kind}-{number}", buyers=orders, stock=orders, flash=False, products=200)
        for number in range(PAIRS)
        for kind in ("alone", "feed")
    ]
    slower: list[float] = []
    rows: list[list[str]] = []
    with (
        server.python("benchmarks.support.gateway", folder / "gateway") as gateway,
        shop_stage(plan, folder, url, gateway, wanted) as stage,
    ):
        environment = server.shop_environment(folder, url, workers=1, threads=1)
        server.manage(environment, "shell", "-c", _PARTNER)
        for number in range(PAIRS):
            alone = _p95(stage, given.rate, f"alone-{number}")
            file = folder / f"pairs-{number}.csv"
            found = feed_files.rows(PAIR_ROWS, broken_percent=BROKEN_PERCENT)
            changed = ((*row[:6], str(int(row[6]) + number)) for row in found)
            feed_files.write_csv(file, changed)
            with _ingesting(environment, file) as process:
                beside = _p95(stage, given.rate, f"feed-{number}")
                early = process.poll() is not None
            slower.append(beside / alone)
            rows.append([str(number + 1), figure(alone), figure(beside), "yes" if early else ""])
            print(f"pair {number + 1}: {alone:.1f} ms, {beside:.1f} ms", file=sys.stderr)
    title = f"{given.rate:g} orders a second, p95"
    print(markdown([title, "alone, ms", "with a file, ms", "file ended first"], rows), end="\n\n")
    target = Target("Checkout's p95 with a file / without", "≤", MOST_SLOWER)
    print(targets_table([(target, Spread(tuple(slower)))]))


def _p95(stage: Any, rate: float, name: str) -> float:
    load = stage.send_at(rate, stage.made[name].requests, 302)
    return 1000 * percentile(load.seconds, 0.95)


def main() -> None:
    """Measure and print."""
    given = _arguments()
    print(f"{machine()}; PostgreSQL 18 with fsync. Median (lowest..highest).\n")
    with tempfile.TemporaryDirectory() as name, postgres() as database:
        folder = Path(name)
        _report(_sizes(given, folder / "files", server.database(database.url, "sizes")))
        if given.buyers:
            _pairs(given, folder / "pairs", server.database(database.url, "pairs"))


if __name__ == "__main__":
    main()
