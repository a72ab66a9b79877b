"""Helpers of the gateway's tests: secrets, bodies, types, and a gateway in its own process."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests
from werkzeug.test import TestResponse

APP = Path(__file__).resolve().parents[2] / "app"
API = {"Authorization": "Bearer dev-gateway-key"}
FAULTS = {"Authorization": "Bearer dev-faults-token"}
# With `pytest --cov`, what a command runs counts too.
MEASURED = {name: value for name, value in os.environ.items() if name == "COVERAGE_PROCESS_CONFIG"}
GOOD = {"amount": "12.50", "currency": "EUR", "token": "tok_good", "reference": "VT-ABC"}
ANSWER_SECONDS = 25  # only to end a test that hangs

Call = Callable[..., TestResponse]
Knobs = Callable[..., None]
T = TypeVar("T")


class Clock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)


def body_of(answer: TestResponse) -> Any:
    """Return the JSON of a response, which must be JSON."""
    assert answer.is_json
    return answer.get_json()


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """Run ``call(n)`` in ``count`` threads that start together; return their results."""
    start = threading.Barrier(count)
    results: dict[int, T] = {}

    def run(number: int) -> None:
        start.wait()
        results[number] = call(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(count)]


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until `true()` holds, for a minute at most."""
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@dataclass
class Process:
    """A gateway started by its command, on a free port, with its files in ``folder``."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    url: str = ""
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> "Process":
        """Start it and wait until it listens."""
        env = {
            "PATH": os.environ["PATH"],
            "DEBUG": "True",
            "GATEWAY_PORT": "0",
            "GATEWAY_LEDGER": str(self.folder / "ledger.sqlite3"),
            "LOG_DIR": str(self.folder / "logs"),
            **self.env,
        }
        # To a file, because a full pipe would block.
        with (self.folder / "stdout").open("wb") as stdout:
            command = [sys.executable, "-m", "gateway_simulator"]
            self.popen = subprocess.Popen(command, cwd=APP, env=env, stdout=stdout)
        while not self.url:
            assert self.popen.poll() is None, "The gateway ended instead of listening."
            time.sleep(0.02)
            for line in self.lines():
                if '"event=gateway.ready"' in line and line.endswith("\n"):
                    self.url = f"http://127.0.0.1:{json.loads(line)['extra']['port']}"
        return self

    def lines(self) -> list[str]:
        """Return its lines on stdout."""
        return (self.folder / "stdout").read_text("utf-8").splitlines(keepends=True)

    def post(self, path: str, key: str, body: dict[str, Any] = GOOD) -> requests.Response:
        headers = {**API, "Idempotency-Key": key}
        return requests.post(self.url + path, json=body, headers=headers, timeout=ANSWER_SECONDS)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=API, timeout=ANSWER_SECONDS)

    def knobs(self, **changes: Any) -> None:
        url = f"{self.url}/faults"
        requests.delete(url, headers=FAULTS, timeout=ANSWER_SECONDS).raise_for_status()
        requests.put(url, json=changes, headers=FAULTS, timeout=ANSWER_SECONDS).raise_for_status()

    def held(self) -> int:
        """Return the number of charges held by ``hold``."""
        text = requests.get(f"{self.url}/metrics", timeout=ANSWER_SECONDS).text
        [line] = [line for line in text.splitlines() if line.startswith("gateway_charges_held ")]
        return int(float(line.split()[1]))

    def worker(self) -> int:
        """Return the id of gunicorn's worker process."""
        assert self.popen is not None
        master = self.popen.pid
        return int(Path(f"/proc/{master}/task/{master}/children").read_text())

    def kill(self) -> None:
        """Kill gunicorn's master; its worker exits when it notices."""
        assert self.popen is not None
        self.popen.kill()

    def stop(self) -> None:
        """Stop the process, if it runs."""
        if self.popen is not None:
            self.popen.terminate()
            self.popen.wait(timeout=60)
            self.popen = None
