"""Smoke test of a new user's first steps: clone, `make run`, buy, read the metrics, Ctrl-C.

    python tests/smoke/fresh_clone.py

Clones the current commit into a temporary folder, so uncommitted changes are not tested. Prints
each check; exits with 1 at the first that fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "app"))

import requests

from drills.shoppers import Shopper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
START_SECONDS = 300  # timeout; a cold package cache is slow
CONFIRMED = 'retail_orders_total{outcome="confirmed"} '
LAMP = "/products/lumen-desk-lamp/"  # not on flash sale: charged in the request


def free_ports(*names: str) -> dict[str, str]:
    """Return a different free port for each name; all are bound until the last is found."""
    with contextlib.ExitStack() as bound:
        probes = [bound.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = [str(probe.getsockname()[1]) for probe in probes]
    return dict(zip(names, ports, strict=True))


def processes_of(folder: Path) -> Iterator[int]:
    """Yield the ids of processes with a working directory in `folder`."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            cwd = (entry / "cwd").readlink()
        except OSError:
            continue
        if cwd.is_relative_to(folder):
            yield int(entry.name)


def memory_of(folder: Path) -> float:
    """Return the proportional set size of the processes in `folder`, in MB."""
    kilobytes = 0
    for pid in processes_of(folder):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def check(description: str, passed: object) -> None:
    if not passed:
        sys.exit(f"FAILED: {description}")
    print(f"  {description}")


def wait_for(url: str, run: subprocess.Popen[bytes]) -> float:
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        if run.poll() is not None:
            sys.exit(f"make run exited with {run.returncode}")
        try:
            if requests.get(f"{url}/healthz", timeout=30).ok:
                return time.monotonic() - began
        except requests.RequestException:
            time.sleep(0.2)
    sys.exit(f"no response from {url} after {START_SECONDS} s")


def confirmed(url: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=60).text
    return float(text.partition(CONFIRMED)[2].splitlines()[0])


def rows_of(clone: Path, reference: str) -> list[tuple[float]]:
    with contextlib.closing(sqlite3.connect(clone / "var" / "vitrine.sqlite3")) as database:
        return database.execute(
            "SELECT value FROM retail_metric WHERE metric_type = 'orders_per_day' "
            "AND json_extract(metadata, '$.order_ref') = ?",
            [reference],
        ).fetchall()


def lines_of(clone: Path, reference: str) -> list[dict[str, Any]]:
    lines = (clone / "logs" / "application.log").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [one for one in events if one["extra"].get("order_ref") == reference]


def patiently(look: Callable[[], list[T]]) -> list[T]:
    """Look until something is found, for a minute at most: rows and lines come in a moment."""
    until = time.monotonic() + 60
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def buy(url: str, clone: Path) -> None:
    before = confirmed(url)
    shopper = Shopper(url)
    check("ten products are on sale", len(shopper.products()) == 10)
    shopper.register()
    shopper.put_in_cart(LAMP)
    page = shopper.order()
    check("the order is confirmed", "Thank you" in page.text and page.ok)
    check("retail_orders_total increased by exactly 1", confirmed(url) == before + 1)
    reference = page.url.rstrip("/").rpartition("/")[2]
    rows = patiently(lambda: rows_of(clone, reference))
    check("the Metric table has one row for the order", rows == [(1.0,)])
    check(
        "the JSON log has the order's settled payment",
        patiently(lambda: lines_of(clone, reference)),
    )


def stop(run: subprocess.Popen[bytes], clone: Path) -> None:
    os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    run.wait(timeout=120)
    check("Ctrl-C leaves no process behind", not list(processes_of(clone)))


def run_twice(clone: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    ports = free_ports("PORT", "GATEWAY_PORT", "WORKER_METRICS_PORT")
    url = f"http://127.0.0.1:{ports['PORT']}"
    command = ["make", "run", "SHOPPERS=0", *(f"{name}={port}" for name, port in ports.items())]
    for start in ("first", "second"):
        run = subprocess.Popen(command, cwd=clone, start_new_session=True)
        try:
            seconds = wait_for(url, run)
            print(f"the {start} start took {seconds:.0f} s")
            if start == "first":
                buy(url, clone)
                time.sleep(5)
                print(f"  all processes together: {memory_of(clone):.0f} MB (PSS)")
            stop(run, clone)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="vitrine-"))
    try:
        run_twice(folder / "vitrine")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("A fresh clone works as the README says.")


if __name__ == "__main__":
    main()
