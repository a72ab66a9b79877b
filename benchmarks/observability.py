"""What watching costs: CPU time that a request takes, watched or not.

Each way of watching has a process of its own; all live at once and answer the same few requests in
turn, again and again. The costs are the median request's, those beside it are subtracted round by
round; what PostgreSQL's process takes meanwhile is shown beside it. What the log's reader and the
disk do is not counted. Standard output is a file here; where a sleeping reader waits at a pipe,
waking it is a few microseconds more.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "app"), str(ROOT)]

from benchmarks.observed.shop import serve
from benchmarks.support.client import HOST
from benchmarks.support.server import python, shop_environment
from benchmarks.support.tables import figure, machine, markdown
from tools.with_postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

WAYS = {
    "off": "nothing watches",
    "on": "the shop as it is, JSON lines included",
    "django-prometheus": "django-prometheus' middleware",
    "otel-metrics": "OpenTelemetry, metrics",
    "otel-spans": "OpenTelemetry, metrics and spans",
    "insert": "an INSERT for each request",
}
# How many requests a process answers before it is the next one's turn.
PAGES = {"bare": 100, "product": 48, "flash": 48, "cart": 48}
TITLES = {
    "bare": "Bare view",
    "product": "Product page",
    "flash": "Flash checkout",
    "cart": "Cart checkout, the gateway answers at once",
}
MOST_MICROSECONDS = 50
MOST_SHARE = 0.05
_OTEL = ROOT / ".venv-peers" / "otel"
_REQUIREMENTS = ROOT / "benchmarks" / "peers" / "otel" / "requirements.txt"


@dataclass
class Watched:
    """A process of the shop that is watched in one way, and what its requests took."""

    way: str
    connection: Connection
    log: Path
    # Of the process, and of the process of PostgreSQL that it asks.
    microseconds: dict[str, list[float]] = field(
        default_factory=lambda: {page: [] for page in PAGES}
    )
    database: dict[str, list[float]] = field(default_factory=lambda: {page: [] for page in PAGES})

    def run(self, page: str) -> tuple[float, float]:
        """Answer some requests; return the microseconds of each, in both processes."""
        self.connection.send((page, PAGES[page]))
        own, database = self.connection.recv()
        return 1e6 * own, 1e6 * database

    def both(self, page: str) -> list[float]:
        """Return the microseconds of the process and PostgreSQL together."""
        return list(map(sum, zip(self.microseconds[page], self.database[page], strict=True)))

    def end(self) -> None:
        """Stop. Raises RuntimeError unless everything asked for happened, and was logged if on."""
        self.connection.send(None)
        seen = self.connection.recv()
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        lines = text.count('"event=http.request"')
        if not seen["orders_are_right"] or lines != (seen["answered"] if self.way == "on" else 0):
            raise RuntimeError(f"{self.way}: {seen}, {lines} lines")


def install_otel() -> None:
    """Install OpenTelemetry beside the shop's own packages, unless it is there."""
    done = _OTEL / "installed.txt"
    if done.exists() and done.read_bytes() == _REQUIREMENTS.read_bytes():
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    where = ["--upgrade", "--target", str(_OTEL)]
    subprocess.run([*pip, *where, "--require-hashes", "-r", str(_REQUIREMENTS)], check=True)
    done.write_bytes(_REQUIREMENTS.read_bytes())


@contextlib.contextmanager
def processes(
    ways: list[str], folder: Path, database_url: str, **more: str
) -> Iterator[list[Watched]]:
    """Yield a process for each way, with `more` in its environment; make their database first."""
    base = shop_environment(
        folder, database_url, workers=1, threads=1,
        THROTTLE_CHECKOUT_LIMIT="1000000", **more,
    )  # fmt: skip
    for command in ("migrate", "collectstatic"):
        line = [sys.executable, str(ROOT / "app" / "manage.py"), command, "--noinput", "-v0"]
        subprocess.run(line, env=base, check=True, stdout=subprocess.DEVNULL)
    context = multiprocessing.get_context("spawn")
    watched, started = [], []
    try:
        for way in ways:
            here, there = context.Pipe()
            logs = folder / f"logs-{way}"
            environment = {
                **base,
                "WATCHING": way,
                "LOG_DIR": str(logs),
                "LOG_MAX_BYTES": "2000000000",
            }
            paths = [str(ROOT / "app"), str(ROOT), *([str(_OTEL)] if "otel" in way else [])]
            output = str(folder / f"stdout-{way}")
            process = context.Process(target=serve, args=(there, environment, paths, output))
            process.start()
            started.append(process)
            watched.append(Watched(way, here, logs / "application.log"))
            there.close()
        for one in watched:
            one.connection.recv()  # it is ready
        yield watched
        for one in watched:
            one.end()
    finally:
        for process in started:
            process.join(timeout=10)
            process.kill()


def measure(watched: list[Watched], rounds: int) -> None:
    """Let all take turns; the first rounds only warm up."""
    warm_up = 3
    for number in range(rounds + warm_up):
        order = watched if number % 2 else watched[::-1]
        for page in PAGES:
            for one in order:
                own, database = one.run(page)
                if number >= warm_up:
                    one.microseconds[page].append(own)
                    one.database[page].append(database)


def table(watched: list[Watched]) -> str:
    """Return what a request takes with each way, and what that is more than with none."""
    off = watched[0]
    rows = []
    for page, title in TITLES.items():
        for one in watched:
            beside = list(zip(one.microseconds[page], off.microseconds[page], strict=True))
            added = [with_it - without for with_it, without in beside]
            low, _, high = quantiles(added, n=4)
            ratio = median(with_it / without for with_it, without in beside)
            taken = one.microseconds[page]
            row = [title, WAYS[one.way], figure(median(taken)), figure(median(one.database[page]))]
            more = [f"{figure(median(added))} ({figure(low)}..{figure(high)})", f"{ratio:.3f}"]
            rows.append([*row, *(more if one is not off else ["", ""])])
    return markdown(
        ["", "watched by", "µs", "PostgreSQL µs", "added µs (quartiles)", "ratio"], rows
    )


def targets(off: Watched, on: Watched) -> str:
    """Return what watching may cost, what it costs, and whether that is kept.

    A page's CPU is what it takes of both, the process and PostgreSQL.
    """
    rows = []
    for page, title in TITLES.items():
        beside = list(zip(on.microseconds[page], off.microseconds[page], strict=True))
        if page == "bare":
            found = median(with_it - without for with_it, without in beside)
            kept, wanted = found <= MOST_MICROSECONDS, f"≤ {MOST_MICROSECONDS} µs"
            shown = [f"{figure(found)} µs", ""]
        else:
            alone = 100 * (median(with_it / without for with_it, without in beside) - 1)
            both = zip(on.both(page), off.both(page), strict=True)
            found = 100 * (median(with_it / without for with_it, without in both) - 1)
            kept, wanted = found <= 100 * MOST_SHARE, f"≤ {MOST_SHARE:.0%}"
            shown = [f"{figure(found)} %", f"{figure(alone)} %"]
        rows.append([title, wanted, *shown, "yes" if kept else "NO"])
    return markdown(["Watching adds", "target", "measured", "of the process alone", "met"], rows)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--only", default=",".join(WAYS), help="ways, `off` and `on` among them")
    asked = parser.parse_args()
    # What is watched has one core to itself; PostgreSQL and the gateway inherit the others.
    cores = os.sched_getaffinity(0)
    core = min(cores)
    os.sched_setaffinity(0, cores - {core} or cores)
    ways = [way for way in WAYS if way in asked.only.split(",")]
    if any("otel" in way for way in ways):
        install_otel()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() as server,
        python("benchmarks.support.gateway", Path(folder) / "gateway") as gateway_port,
        processes(
            ways,
            Path(folder),
            server.url,
            GATEWAY_URL=f"http://{HOST}:{gateway_port}",
            CORE=str(core),
        ) as watched,
    ):
        measure(watched, asked.rounds)
    print(
        f"{machine()}; CPU time of a request, medians of {asked.rounds} rounds, load "
        f"{os.getloadavg()[0]:.1f}\n"
    )
    print(table(watched), targets(watched[0], watched[1]), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
