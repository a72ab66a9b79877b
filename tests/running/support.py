"""A shop of real processes, for tests of what happens between them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import requests

from drills.shoppers import Shopper
from tests.gateway_simulator.support import MEASURED, Process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.with_postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
PATIENCE = 120  # seconds after which a test gives up waiting; nothing is asserted about speed
# Runs code in the shop, one JSON text a line, and answers with one. What is logged goes to stderr.
CONSOLE = """
import json, os, sys, traceback
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
import django
django.setup()
from django.db import connections
for line in sys.stdin:
    kind, code = json.loads(line)
    names = {}
    try:
        exec("from orders.models import *; from products.models import *", names)
        answer = {"value": eval(code, names) if kind == "eval" else exec(code, names)}
    except Exception:
        answer = {"error": traceback.format_exc()}
    connections.close_all()
    print(json.dumps(answer), file=answers, flush=True)
"""
THE_REST = """
from datetime import timedelta
from django.conf import settings
from django.db.models import F
from payments.models import CircuitBreaker
rest = timedelta(seconds=settings.BREAKER_RESET_SECONDS)
CircuitBreaker.objects.filter(state="open").update(opened_at=F("opened_at") - rest)
"""
DUE = "Payment.objects.filter(settled_at=None).update(due_at=F('created_at'))"
KEYS = {"timestamp", "level", "logger", "message", "request_id", "extra"}

_given: set[int] = set()
_filled: list[Path] = []  # a database with the sample products, once there is one


def free_port() -> int:
    """Return a port that nobody listens on, never one twice.

    Below the range from which the kernel takes ports for outgoing connections, so that none of
    those is in the way by the time it is used.
    """
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311 - not about secrets
        with contextlib.suppress(OSError), socket.socket() as probe:
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port


def own_database(folder: Path) -> str:
    """Return the URL of an empty database of the kind that the tests run with."""
    given = os.environ.get("DATABASE_URL", "")
    if not given.startswith("postgres"):
        return f"sqlite:///{folder / 'shop.sqlite3'}"
    name = f"shop_{uuid.uuid4().hex}"
    connection = psycopg2.connect(given)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    return urlsplit(given)._replace(path=f"/{name}").geturl()


def wait_until(true: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait until `true()` is, and return it."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if result := true():
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {patience} s in vain for {what}")


@contextlib.contextmanager
def hanging(server: Postgres) -> Iterator[None]:
    """Stop all processes of the server, as a disk that no longer answers would."""
    pid = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)  # first, so that it starts no others
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    stopped = [pid, *map(int, children)]
    for child in stopped[1:]:
        os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@dataclass
class RunningShop:
    """Web, worker and gateway as processes, with their files in `folder`."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    gateway_settings: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    console: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        logs = {"LOG_DIR": str(self.folder / "logs")}
        self.gateway = Process(self.folder, {**logs, **self.gateway_settings}).start()
        self.port, self.worker_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.running.settings",
            "DEBUG": "True",
            "DATABASE_URL": own_database(self.folder),
            "VAR_DIR": str(self.folder / "var"),
            "LOG_DIR": str(self.folder / "logs"),
            "METRIC_FILES_DIR": str(self.folder / "metrics"),
            "METRIC_FLUSH_SECONDS": "0.1",
            "PORT": str(self.port),
            "WORKER_METRICS_PORT": str(self.worker_port),
            "GATEWAY_URL": self.gateway.url,
            "THROTTLE_REGISTER_LIMIT": "1000000",
            **MEASURED,
            **self.settings,
        }
        try:
            self._fill_database()
        except BaseException:
            self.gateway.stop()  # nobody else will: the test never got this shop
            raise

    def _fill_database(self) -> None:
        """Make the tables and the sample products; on SQLite once, and from then on by a copy."""
        kind, _, path = self.environment["DATABASE_URL"].partition(":///")
        if kind == "sqlite" and _filled:
            shutil.copy(_filled[0], path)
            return
        self.manage("migrate", "--noinput")
        self.manage("populate_products")
        if kind == "sqlite":
            _filled.append(Path(shutil.copy(path, self.folder / "filled.sqlite3")))

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=APP,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    def query(self, expression: str) -> Any:
        """Return a JSON-able expression's value, evaluated in the shop."""
        return self._in_console("eval", expression)

    def run(self, code: str) -> None:
        """Run code in the shop."""
        self._in_console("exec", code)

    def _in_console(self, kind: str, code: str) -> Any:
        """Have it done by a process that lives on: starting one for each takes most of the time."""
        if self.console is None:
            with (self.folder / "console.stderr").open("ab") as stderr:
                self.console = subprocess.Popen(
                    [sys.executable, "-c", CONSOLE],
                    cwd=APP,
                    env=self.unmeasured(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                )
        assert self.console.stdin is not None
        assert self.console.stdout is not None
        self.console.stdin.write(json.dumps([kind, code]) + "\n")
        self.console.stdin.flush()
        assert select.select([self.console.stdout], [], [], PATIENCE)[0], f"no end of: {code}"
        answer = json.loads(self.console.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def pass_the_rest(self) -> None:
        """Let the time pass for which the breaker stays open."""
        self.run(THE_REST)

    def settle(self) -> None:
        """Wait until the worker has settled everything; what it waits for has passed."""

        def settled() -> bool:
            self.run(THE_REST + DUE)
            return bool(self.query("not Payment.objects.filter(settled_at=None).exists()"))

        wait_until(settled, "the worker to settle")

    def start(self, *names: str, **settings: str) -> None:
        """Start `web` and `worker` as named, with settings of their own; wait for their answer."""
        commands = {
            "web": ["-m", "gunicorn", "--config", "config/gunicorn.conf.py", "config.wsgi"],
            "worker": ["manage.py", "worker"],
        }
        ports = {"web": self.port, "worker": self.worker_port}
        for name in names:
            with (self.folder / f"{name}.stdout").open("ab") as stdout:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, *commands[name]],
                    cwd=APP,
                    env={**self.unmeasured(), **settings},
                    stdout=stdout,
                    stderr=stdout,
                    start_new_session=True,
                )
        for name in names:
            address = f"http://127.0.0.1:{ports[name]}/healthz"
            wait_until(lambda a=address: self._answers(a), f"{name} to answer")  # type: ignore[misc]

    def unmeasured(self) -> dict[str, str]:
        """Return the environment of processes that are stopped or limited: they run as usual."""
        return {name: value for name, value in self.environment.items() if name not in MEASURED}

    @staticmethod
    def _answers(address: str) -> bool:
        try:
            return requests.get(address, timeout=30).ok
        except requests.RequestException:
            return False

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """End a process (SIGKILL: with all its children, as a power cut would)."""
        process = self.processes.pop(name)
        if number is signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        return process.wait(timeout=PATIENCE)

    def close(self) -> None:
        """End everything."""
        for name in list(self.processes):
            self.end(name, signal.SIGKILL)
        if self.console is not None:
            self.console.kill()
            self.console.communicate()
        self.gateway.stop()

    def shopper(self) -> Shopper:
        """Return a new customer."""
        shopper = Shopper(self.url)
        shopper.register()
        return shopper

    def metric(self, name: str, port: int | None = None) -> float:
        """Return a sample of /metrics, by its name and labels as they stand there."""
        text = requests.get(f"http://127.0.0.1:{port or self.port}/metrics", timeout=30).text
        for line in text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no {name} in /metrics")

    def charges(self) -> list[dict[str, Any]]:
        """Return the gateway's ledger."""
        rows: list[dict[str, Any]] = self.gateway.get("/v1/charges").json()["charges"]
        return rows

    def log(self, path: str) -> list[dict[str, Any]]:
        """Return the lines of a log; each must be one JSON object with exactly the six keys."""
        lines = [json.loads(line) for line in (self.folder / path).read_text().splitlines()]
        assert {frozenset(line) for line in lines} <= {frozenset(KEYS)}
        return lines
