"""A minimal stand-in for the shop, with a copy of `tools/run.py`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools import run

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = Path(run.__file__)
PATIENCE = 120  # seconds after which a test fails; no speed is asserted

MANAGE = """
import json, os, subprocess, sys, time
from pathlib import Path

out = Path(os.environ["VAR_DIR"])
command = sys.argv[1]
with (out / "steps").open("a") as steps:
    print(*sys.argv[1:], file=steps)
names = ("DATABASE_URL", "DEBUG", "LOG_CONSOLE_LEVEL", "GATEWAY_URL", "PYTHONUNBUFFERED")
(out / "environment").write_text(json.dumps({name: os.environ.get(name) for name in names}))
if command == os.environ.get("BREAK"):
    print("the step's own words")
    sys.exit(4)
if command == "worker":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (out / "new").write_text(f"{os.getpid()} {child.pid}")
    (out / "new").rename(out / "pids")
    print(json.dumps({"event": "worker is up"}))
    time.sleep(600)
"""
WSGI = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
# Write each line at once, like a logger, because the programs share a console.
FOREVER = """
import sys, time
sys.stdout.write(" ".join(sys.argv[1:]) + "\\n")
time.sleep(600)
"""


def free_ports() -> dict[str, str]:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for probe in (one, two, three):
            probe.bind(("127.0.0.1", 0))
        names = ("PORT", "GATEWAY_PORT", "WORKER_METRICS_PORT")
        probes = (one, two, three)
        return {
            name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)
        }


def alive(pid: int) -> bool:
    """Return whether the process runs; a zombie does not count."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        state = (
            status.read_text().rpartition(")")[2].split()[0] if Path("/proc/self").exists() else ""
        )
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in {"Z", "X"}


class House:
    """A stand-in for the project's folder, with a copy of run.py."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = free_ports()
        self.output_file = root / "output"
        self.process: subprocess.Popen[bytes] | None = None
        for name, text in {
            "app/manage.py": MANAGE,
            "app/config/wsgi.py": WSGI,
            "app/config/gunicorn.conf.py": f"bind = '127.0.0.1:{self.ports['PORT']}'\n"
            "control_socket_disable = True\n",
            "app/gateway_simulator.py": FOREVER,
            "app/drills/shoppers.py": FOREVER,
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "tools").mkdir()
        for copied in (RUN, run.CONFIGURATION):
            shutil.copy(copied, root / "tools")

    def change(self, name: str, old: str, new: str) -> None:
        """Change the copy of one of the tools."""
        tool = self.root / "tools" / name
        assert old in tool.read_text()
        tool.write_text(tool.read_text().replace(old, new))

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, **self.ports, "SHOPPERS": "0", **changes}

    def run(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run it until it exits."""
        return subprocess.run(
            [sys.executable, "tools/run.py"],
            cwd=self.root,
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def launch(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "tools/run.py"],
                cwd=self.root,
                env=self.environment(**changes),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.process

    def start(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start it and wait for the banner."""
        process = self.launch(**changes)
        self.wait_for(lambda: "Ctrl-C stops everything" in self.output())
        self.wait_for(lambda: "worker is up" in self.output())
        return process

    def output(self) -> str:
        return self.output_file.read_text() if self.output_file.exists() else ""

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, self.output()
            time.sleep(0.05)

    def worker_pids(self) -> list[int]:
        return [int(pid) for pid in (self.root / "var" / "pids").read_text().split()]
