"""Processes of the shop, each watched in one way, as the benchmark that starts them sees them."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.observed.shop import serve
from benchmarks.support.server import ROOT, prepare_shop, shop_environment
from benchmarks.support.watching import ON, Cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

_OTEL = ROOT / ".venv-peers" / "otel"
_REQUIREMENTS = ROOT / "benchmarks" / "peers" / "otel" / "requirements.txt"
PATIENCE = 10  # seconds a process may take to end


@dataclass
class Watched:
    """A process of the shop that is watched in one way."""

    way: str
    connection: Connection
    log: Path

    def prepare(self, page: str, requests: int) -> None:
        """Make requests ready to be answered."""
        self._call("prepare", page, requests)

    def turn(self, requests: int) -> Cost:
        """Answer some of the requests; return what one of them cost."""
        return Cost(*self._call("turn", requests))

    def write(self) -> Cost:
        """Write what is written apart from requests; return what it cost."""
        return Cost(*self._call("write"))

    def _call(self, *asked: object) -> list[float]:
        self.connection.send(asked)
        return [1e6 * seconds for seconds in self.connection.recv() or ()]

    def end(self) -> None:
        """Stop. Raises RuntimeError if an order is missing, or a log line while watching is on."""
        self.connection.send(None)
        seen = self.connection.recv()
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        lines = text.count('"event=http.request"')
        if not seen["orders_are_right"] or lines != (seen["answered"] if self.way == ON else 0):
            raise RuntimeError(f"{self.way}: {seen}, {lines} lines")


def install_otel() -> None:
    """Install OpenTelemetry apart from the shop's own packages, unless it is installed."""
    done = _OTEL / "installed.txt"
    if done.exists() and done.read_bytes() == _REQUIREMENTS.read_bytes():
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    where = ["--upgrade", "--target", str(_OTEL)]
    subprocess.run([*pip, *where, "--require-hashes", "-r", str(_REQUIREMENTS)], check=True)
    done.write_bytes(_REQUIREMENTS.read_bytes())


def prepare(folder: Path, database_url: str, **more: str) -> dict[str, str]:
    """Prepare a shop on an empty database; return its environment, with `more` in it."""
    environment = shop_environment(
        folder, database_url, workers=1, threads=1,
        THROTTLE_CHECKOUT_LIMIT="1000000", LOG_MAX_BYTES="2000000000", **more,
    )  # fmt: skip
    prepare_shop(environment)
    return environment


@contextlib.contextmanager
def processes(
    ways: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[list[Watched]]:
    """Yield a process for each way of watching, all ready; their files go to a new folder."""
    folder.mkdir()
    context = multiprocessing.get_context("spawn")
    watched, started = [], []
    try:
        for way in ways:
            here, there = context.Pipe()
            logs = folder / f"logs-{way}"
            more = {"WATCHING": way, "LOG_DIR": str(logs)}
            paths = [str(ROOT / "app"), str(ROOT), *([str(_OTEL)] if "otel" in way else [])]
            arguments = (there, {**environment, **more}, paths, str(folder / f"stdout-{way}"))
            process = context.Process(target=serve, args=arguments)
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
            process.join(timeout=PATIENCE)
            process.kill()
