"""Measure how long the inside view takes with 90 days of rows, and with a hundredth of them.

Fills databases with ten million rows on PostgreSQL and a million on SQLite, rolls them up as the
worker does, and requests each page and range in turns, in this process: the time is the server's
own, without network or web server.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "app"), str(ROOT)]

from benchmarks.support.server import call, database, prepare_shop, shop_environment
from benchmarks.support.tables import Spread, figure, machine, markdown, percentile, ratios
from benchmarks.support.targets import Target, targets_table
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = {"postgresql": 10_000_000, "sqlite": 1_000_000}
SHARE = 100  # the small database has so many times fewer rows
MOST_RATIO = 1.5
WARM_UP = 3
RANGES = ("1h", "24h", "7d", "30d", "90d")
DAYS = (1, 7, 30, 90)
PAGES = (
    *(f"/metrics/dashboard/?range={name}" for name in RANGES),
    *(f"/metrics/api/?days={days}" for days in DAYS),
    "/metrics/quality-scenarios/",
)


@dataclass
class Asked:
    """One thing that was asked for: its queries, and how long it took, by database and round."""

    queries: int = 0
    rounds: dict[str, list[list[float]]] = field(default_factory=dict)  # milliseconds

    def each(self, name: str, share: float) -> list[float]:
        """Return each round's percentile in one of the databases."""
        return [percentile(one, share) for one in self.rounds[name]]

    def ratio(self, large: str, small: str) -> Spread:
        """Return how many times longer it took in the larger database, round by round."""
        return ratios(self.each(large, 0.5), self.each(small, 0.5))


def use(name: str) -> None:
    """Have this process talk to another database of the same kind."""
    from django.core.cache import cache  # noqa: PLC0415 - Django is set up by now
    from django.db import connection  # noqa: PLC0415

    connection.close()
    connection.settings_dict["NAME"] = name
    cache.clear()


def questions() -> dict[str, Callable[[], object]]:
    """Return what is asked: the rows' history by itself, and each page."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django is set up by now
    from django.test import Client  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from retail.history.read import history, time_range  # noqa: PLC0415
    from retail.observability.rows.types import METRIC_TYPES  # noqa: PLC0415

    client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=True)

    def read(name: str) -> Callable[[], object]:
        return lambda: history(tuple(METRIC_TYPES), time_range(name, timezone.now()))

    def get(address: str) -> Callable[[], object]:
        def ask() -> None:
            if (answer := client.get(address)).status_code != 200:  # noqa: PLR2004 - OK
                sys.exit(f"{address} was answered {answer.status_code}")

        return ask

    client.force_login(User.objects.get(username="staff"))
    return {
        **{f"history() of {name}": read(name) for name in RANGES},
        **{address: get(address) for address in PAGES},
    }


def fill(rows: int) -> list[str]:
    """Fill the database in use and roll it up; return the table's row about it."""
    from django.contrib.auth.models import User  # noqa: PLC0415 - Django is set up by now
    from django.utils import timezone  # noqa: PLC0415

    from benchmarks.support.past import fill_past  # noqa: PLC0415
    from retail.history import rollups  # noqa: PLC0415
    from retail.models import Metric, MetricRollup  # noqa: PLC0415

    User.objects.create_superuser("staff")
    started = time.perf_counter()
    fill_past(rows)
    filled = time.perf_counter()
    rollups.roll_up(timezone.now())
    rolled = time.perf_counter()
    rollups.roll_up(timezone.now())
    again = time.perf_counter()
    times = (filled - started, rolled - filled, again - rolled)
    counts = (Metric.objects.count(), MetricRollup.objects.count())
    return [*(f"{count:,}" for count in counts), *(figure(seconds) for seconds in times)]


def measure(names: list[str], rounds: int, each: int) -> dict[str, Asked]:
    """Ask everything in each database in turns, as old rollups as a minute and a half allow."""
    from django.db import connection  # noqa: PLC0415 - Django is set up by now
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from retail.history import rollups  # noqa: PLC0415

    found: dict[str, Asked] = {}
    for _ in range(rounds):
        for name in names:
            use(name)
            for what, ask in questions().items():
                # The worker looks every minute: what came since its last look is read live.
                rollups.roll_up(timezone.now() - rollups.MINUTE)
                asked = found.setdefault(what, Asked())
                with CaptureQueriesContext(connection) as queries:
                    ask()
                asked.queries = len(queries)
                for _ in range(WARM_UP):
                    ask()
                times: list[float] = []
                asked.rounds.setdefault(name, []).append(times)
                for _ in range(each):
                    started = time.perf_counter()
                    ask()
                    times.append(1000 * (time.perf_counter() - started))
    return found


def table(found: dict[str, Asked], names: list[str]) -> str:
    """Return the measurements, the large database first."""
    headings = ["", "queries"]
    for name in names:
        headings += [f"{name}: p50 ms", "p95 ms"]
    rows = []
    for what, asked in found.items():
        times = [Spread(tuple(asked.each(name, share))) for name in names for share in (0.5, 0.95)]
        rows.append([what, str(asked.queries), *map(str, times)])
        if len(names) > 1:
            rows[-1].append(str(asked.ratio(*names)))
    return markdown([*headings, "ratio of p50"] if len(names) > 1 else headings, rows)


def targets(asked: dict[str, Asked], names: list[str]) -> str:
    """Return the table of targets: there is one if two databases were measured."""
    if len(names) < 2:  # noqa: PLR2004 - a ratio needs two
        return ""
    large, small = names
    page_ratios = (asked[address].ratio(large, small) for address in PAGES)
    worst = max(page_ratios, key=lambda one: one.median)
    target = Target(f"{large} / {small}, p50 of the worst page", "≤", MOST_RATIO)
    return targets_table([(target, worst)])


@contextmanager
def databases(vendor: str, folder: Path) -> Iterator[Callable[[str], str]]:
    """Yield a function that makes a database of this kind and returns its URL."""
    if vendor == "sqlite":
        yield lambda name: f"sqlite:///{folder / name}.sqlite3"
        return
    with postgres() as server:
        yield lambda name: database(server.url, name)


def run(vendor: str, sizes: list[int], rounds: int, each: int) -> None:
    """Fill, measure and print for one kind of database."""
    with tempfile.TemporaryDirectory() as name, databases(vendor, Path(name)) as make:
        urls = [make(f"rows_{size}") for size in sizes]
        for url in urls:
            environment = shop_environment(Path(name), url, workers=1, threads=1)
            prepare_shop(environment)
        os.environ.update({**environment, "DJANGO_SETTINGS_MODULE": "config.settings"})
        import dj_database_url  # noqa: PLC0415 - beside Django
        import django  # noqa: PLC0415 - its settings come from the environment made above

        django.setup()
        from retail.observability.logs.sinks import SharedFile  # noqa: PLC0415
        from retail.observability.logs.writer import LineWriter  # noqa: PLC0415
        from retail.observability.rows.recorder import recorder  # noqa: PLC0415

        recorder.use_thread = False  # rows are written beside the requests, never in them
        # The log's file is written as in production; its other copy would be between the tables.
        for writer in [one for one in logging.root.handlers if isinstance(one, LineWriter)]:
            writer.sinks = [sink for sink in writer.sinks if isinstance(sink, SharedFile)]
        names = [str(dj_database_url.parse(url)["NAME"]) for url in urls]
        filled = []
        for database_name, size in zip(names, sizes, strict=True):
            use(database_name)
            filled.append([f"{size:,}", *fill(size)])
        labels = {place: f"{size:,} rows" for place, size in zip(names, sizes, strict=True)}
        found = measure(names, rounds, each)
    for asked in found.values():
        asked.rounds = {labels[place]: one for place, one in asked.rounds.items()}
    shown = list(labels.values())
    print(
        f"\n{vendor}: {rounds} rounds of {each} requests; median (lowest..highest) of the rounds\n"
    )
    headings = ("asked for", "rows", "rollups", "fill, s", "roll up, s", "and again, s")
    for one in (markdown(headings, filled), table(found, shown), targets(found, shown)):
        print(f"{one}\n")


def main() -> None:
    """Measure one kind of database, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=ROWS, help="only this kind")
    parser.add_argument("--rows", type=int, help="in the large database")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--each", type=int, default=20, help="requests a round")
    parser.add_argument("--quick", action="store_true", help="only the small databases")
    given = parser.parse_args()
    if given.database is None:
        print(machine(), flush=True)
        for vendor in ROWS:
            call_again = [sys.executable, __file__, *sys.argv[1:], "--database", vendor]
            print(call(call_again, os.environ, ROOT), end="", flush=True)
        return
    rows = given.rows or ROWS[given.database]
    sizes = [rows // SHARE] if given.quick else [rows, rows // SHARE]
    run(given.database, sizes, given.rounds, given.each)


if __name__ == "__main__":
    main()
