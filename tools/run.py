"""Prepare and run the shop locally on SQLite (`make run`).

The programs run under supervisord, which restarts them when they exit; tools/supervisord.conf lists
them. Settings come only from exported variables; `.env` is for Docker Compose and is not read.
Exits with 0 after Ctrl-C or SIGTERM, with 1 if a step fails or a program cannot start, and with 2
if a variable or a port is invalid.
"""

import contextlib
import fcntl
import http.client
import math
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app"
CONFIGURATION = ROOT / "tools" / "supervisord.conf"
# supervisord kills programs that have not stopped after 12 seconds (stopwaitsecs).
STOP_SECONDS = 15
PATIENCE_SECONDS = 60  # until a message that the shop does not respond yet
POLL_SECONDS = 0.2


class RefusedError(Exception):
    """The shop cannot be started; the message is one line that says what to do."""


class FailedError(Exception):
    """A step failed or a program cannot start; the message is printed."""


@dataclass(frozen=True)
class Plan:
    """Ports of the programs, and the number of shoppers."""

    port: int
    gateway_port: int
    worker_port: int
    shoppers: int


def whole_number(environ: Mapping[str, str], name: str, default: int, most: int, least: int) -> int:
    """Return a variable as a whole number; `default` if unset or empty."""
    text = environ.get(name, "").strip() or str(default)
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise RefusedError(f"{name}={text} must be a whole number from {least} to {most}.")


def read_plan(environ: Mapping[str, str]) -> Plan:
    """Read the plan from the environment. Raises RefusedError."""
    ports = {
        name: whole_number(environ, name, default, least=1, most=65535)
        for name, default in (("PORT", 8000), ("GATEWAY_PORT", 8001), ("WORKER_METRICS_PORT", 8002))
    }
    names = list(ports)
    for name in names:
        for other in names[names.index(name) + 1 :]:
            if ports[name] == ports[other]:
                raise RefusedError(
                    f"{name} and {other} are both {ports[name]}: change one of them."
                )
    shoppers = whole_number(environ, "SHOPPERS", 3, least=0, most=20)
    return Plan(ports["PORT"], ports["GATEWAY_PORT"], ports["WORKER_METRICS_PORT"], shoppers)


def refuse_busy_ports(plan: Plan) -> None:
    """Raise RefusedError if another program listens on one of the plan's ports."""
    for name, port in (
        ("PORT", plan.port),
        ("GATEWAY_PORT", plan.gateway_port),
        ("WORKER_METRICS_PORT", plan.worker_port),
    ):
        with socket.socket() as probe:
            # As the servers do, so that a recently closed port counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise RefusedError(
                    f"Cannot use port {port} ({error.strerror}): "
                    f"free it, or choose another with `make run {name}=…`."
                ) from error


def environment(environ: Mapping[str, str], plan: Plan) -> dict[str, str]:
    """Return the programs' environment: exported variables, plus those needed to run locally."""
    var = _folder(environ, "VAR_DIR", "var")
    defaults = {
        "DEBUG": "True",
        # Keeps the console readable; the log file has every line.
        "LOG_CONSOLE_LEVEL": "WARNING",
        "GATEWAY_URL": f"http://127.0.0.1:{plan.gateway_port}",
        "GATEWAY_LEDGER": f"{var}/gateway.sqlite3",
        "METRIC_FILES_DIR": f"{var}/metrics",
    }
    given = {name: value for name, value in environ.items() if value or name not in defaults}
    return {
        **defaults,
        **given,
        # Absolute, because the programs have another working directory.
        "VAR_DIR": var,
        "LOG_DIR": _folder(environ, "LOG_DIR", "logs"),
        "PORT": str(plan.port),
        "GATEWAY_PORT": str(plan.gateway_port),
        "WORKER_METRICS_PORT": str(plan.worker_port),
        "SHOPPERS": str(plan.shoppers),
        "PYTHONUNBUFFERED": "1",
    }


def _folder(environ: Mapping[str, str], name: str, default: str) -> str:
    given = environ.get(name, "").strip()
    return str(Path(given).expanduser().resolve() if given else ROOT / default)


def preparation(plan: Plan) -> dict[str, list[str]]:
    """Return the commands to run before the start, by title."""
    manage = [sys.executable, "manage.py"]
    return {
        "database tables": [*manage, "migrate", "--noinput"],
        "administrator": [*manage, "create_admin"],
        "products and stock": [*manage, "populate_products", "--restock"],
        "synthetic partner": [*manage, "demo_partner", *([] if plan.shoppers else ["--stop"])],
    }


def banner(plan: Plan, log: Path) -> str:
    """Return the text to print once the shop responds."""
    shop = f"http://127.0.0.1:{plan.port}"
    return f"""
  The shop is running.

    Shop      {shop}/
    Products  {shop}/products/
    Admin     {shop}/admin/   log in as admin / admin123
    Dashboard {shop}/metrics/dashboard/
    Quality   {shop}/metrics/quality-scenarios/
    Feeds     {shop}/desk/feeds/
    Metrics   {shop}/metrics
              http://127.0.0.1:{plan.worker_port}/metrics (worker, with flash-sale payments)
    Gateway   http://127.0.0.1:{plan.gateway_port}/
    Log       tail -F {log} | jq
    Shoppers  {plan.shoppers or "none"}

  Ctrl-C stops everything.
"""


class Console:
    """Writes whole lines from any thread. Ignores a closed console."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Write `text` and a newline."""
        self.pass_on(f"{text}\n".encode(errors="replace"))

    def pass_on(self, line: bytes) -> None:
        """Write a program's line unchanged."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


class Programs:
    """Runs the programs under supervisord and follows its log.

    supervisord runs in its own session, so that Ctrl-C in a terminal reaches only this process. It
    starts each program as the leader of a process group, but does not end the children of a leader
    that exits unexpectedly. This class kills them, so that they do not run alongside new ones.
    """

    # Matches "2026-01-31 12:00:00,000 INFO spawned: 'web' with pid 4711" and
    # "2026-01-31 12:00:01,000 WARN exited: web (exit status 1; not expected)".
    EVENT = re.compile(
        r"\S+ \S+ [A-Z]+ (?P<what>spawned|exited|stopped|killing|gave up):? '?(?P<name>\w+)'?"
        r"(?: with pid (?P<pid>\d+)| \((?P<how>[\w ]+))?"
    )

    def __init__(self, environ: Mapping[str, str], console: Console) -> None:
        self._console = console
        self._leaders: dict[str, int] = {}
        self._ends: dict[str, str] = {}
        self._unread = b""
        self.failure = ""
        self._supervisord = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", CONFIGURATION],
            cwd=APP,
            env={
                **environ,
                "VITRINE_PYTHON": shlex.quote(sys.executable),
                "VITRINE_VISITED": "false" if environ["SHOPPERS"] == "0" else "true",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def _pass_on(self) -> None:
        for line in self._supervisord.stderr or ():
            self._console.pass_on(line)

    def follow(self, seconds: float) -> bool:
        """Wait up to `seconds` for lines of supervisord's log; return whether it is still open.

        Prints restarts, and sets `failure` if the shop cannot continue.
        """
        log = self._supervisord.stdout
        if log is None or not select.select([log], [], [], seconds)[0]:
            return True
        new = os.read(log.fileno(), 65536)
        *lines, self._unread = (self._unread + new).split(b"\n")
        for line in lines:
            event = self.EVENT.match(line.decode(errors="replace"))
            if event:
                self._handle(**event.groupdict())
        if not new:
            status = self._supervisord.wait()
            self.failure = self.failure or f"supervisord exited unexpectedly with code {status}"
        return bool(new)

    def _handle(self, what: str, name: str, pid: str | None, how: str | None) -> None:
        if what == "spawned":
            self._leaders[name] = int(pid or 0)
            if name in self._ends:
                self._console.write(f"{name} exited ({self._ends[name]}) and was restarted.")
        elif what in {"exited", "stopped"}:
            self._ends[name] = (how or "").strip()
            self._end_group(name)
        elif what == "gave up":
            self.failure = f"{name} cannot start ({self._ends.get(name, 'no process')})"
        else:
            self._console.write(f"{name} did not stop in time and was killed.")

    def _end_group(self, name: str) -> None:
        leader = self._leaders.pop(name, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if leader:
                os.killpg(leader, signal.SIGKILL)

    def stop(self) -> None:
        """Stop all programs with supervisord; kill what is left after STOP_SECONDS."""
        until = time.monotonic() + STOP_SECONDS
        self._supervisord.terminate()
        while self.follow(POLL_SECONDS):
            if time.monotonic() > until:
                self._supervisord.kill()
        for name in list(self._leaders):
            self._end_group(name)
        self._reader.join(timeout=1)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock `folder` for this run. Raises RefusedError if another run has locked it."""
    with (folder / "run.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RefusedError(
                f"Another shop is running in {folder}: stop it, or choose other folders with "
                "`make run VAR_DIR=… LOG_DIR=…`."
            ) from error
        yield


class Shop:
    """One run, from the checks to the stop."""

    def __init__(self, plan: Plan, environ: Mapping[str, str]) -> None:
        self._plan = plan
        self._environ = environ
        self._console = Console()
        self._stopping = False  # not a threading.Event: its lock and a signal handler can deadlock

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def run(self) -> None:
        """Prepare and run the shop until stopped. Raises FailedError, RefusedError."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for name in ("VAR_DIR", "LOG_DIR"):
            Path(self._environ[name]).mkdir(parents=True, exist_ok=True)
        with alone_in(Path(self._environ["VAR_DIR"])):
            self._run()

    def _run(self) -> None:
        for title, command in preparation(self._plan).items():
            self._prepare(title, command)
        programs = None if self._stopping else Programs(self._environ, self._console)
        try:
            if programs:
                self._follow(programs)
        finally:
            self._console.write("Stopping…")
            if programs:
                programs.stop()
        self._console.write("Everything has stopped.")

    def _prepare(self, title: str, command: list[str]) -> None:
        """Run one step; print its output only if it fails."""
        if self._stopping:
            return
        began = time.monotonic()
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            with subprocess.Popen(
                command,
                cwd=APP,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process:
                while process.poll() is None and not self._stopping:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(POLL_SECONDS)
                process.terminate()
            if self._stopping:
                return
            if process.returncode:
                output.seek(0)
                self._console.write(output.read())
                raise FailedError(f"Preparing the {title} failed with code {process.returncode}.")
        self._console.write(f"Prepared the {title} ({time.monotonic() - began:.1f} s)")

    def _follow(self, programs: Programs) -> None:
        """Report on the programs until stopped. Raises FailedError."""
        log = Path(self._environ["LOG_DIR"]) / "application.log"
        is_open, patience = False, time.monotonic() + PATIENCE_SECONDS
        while not self._stopping:
            programs.follow(POLL_SECONDS)
            if programs.failure:
                raise FailedError(f"{programs.failure}, so everything was stopped.")
            if not is_open and self._answers():
                is_open = True
                self._console.write(banner(self._plan, log))
            elif not is_open and time.monotonic() > patience:
                patience = math.inf
                self._console.write(f"The shop does not respond yet. See the log: {log}")

    def _answers(self) -> bool:
        """Return whether the shop responds."""
        connection = http.client.HTTPConnection("127.0.0.1", self._plan.port, timeout=1)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.client.OK
        return False


def main() -> int:
    """Run the shop; return the exit status."""
    try:
        plan = read_plan(os.environ)
        refuse_busy_ports(plan)
        Shop(plan, environment(os.environ, plan)).run()
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 2
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
