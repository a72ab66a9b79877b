"""Prepare and run the whole shop on this machine, on SQLite: what `make run` starts.

Settings come from exported variables alone; a `.env` file belongs to Docker Compose and is not
read. Ends with 0 after Ctrl-C or SIGTERM, with 1 if a step failed or a program ended by itself,
with 2 if a variable or a port cannot be used.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "app"
# The worker finishes its job and the shop its requests before they end; all is over in 15 seconds.
STOP_SECONDS = 12
LOOK_SECONDS = 0.2  # between looks at the programs
COLOURS = (36, 33, 35, 32)  # ANSI: cyan, yellow, magenta, green


class RefusedError(Exception):
    """The shop cannot be started like this; the message is one line that says what to do."""


class FailedError(Exception):
    """Something went wrong after the start; the message is for people."""


@dataclass(frozen=True)
class Plan:
    """Where the shop's programs listen and how many shoppers visit it."""

    port: int
    gateway_port: int
    worker_port: int
    shoppers: int


def whole_number(environ: Mapping[str, str], name: str, default: int, most: int, least: int) -> int:
    """Return a variable as a whole number; unset and empty both mean `default`."""
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
    shoppers = whole_number(environ, "SHOPPERS", 3, least=0, most=1000)
    return Plan(ports["PORT"], ports["GATEWAY_PORT"], ports["WORKER_METRICS_PORT"], shoppers)


def refuse_busy_ports(plan: Plan) -> None:
    """Raise RefusedError if another program listens on one of the plan's ports."""
    for name, port in (
        ("PORT", plan.port),
        ("GATEWAY_PORT", plan.gateway_port),
        ("WORKER_METRICS_PORT", plan.worker_port),
    ):
        with socket.socket() as probe:
            # As the servers do: a port that was closed a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise RefusedError(
                    f"Port {port} cannot be used ({error.strerror}): "
                    f"free it, or choose another with `make run {name}=…`."
                ) from error


def environment(environ: Mapping[str, str], plan: Plan) -> dict[str, str]:
    """Return the programs' environment: what is exported, and what running here needs on top."""
    var = _folder(environ, "VAR_DIR", "var")
    defaults = {
        "DEBUG": "True",
        # The console stays readable; every line is in the log file.
        "LOG_CONSOLE_LEVEL": "WARNING",
        "GATEWAY_URL": f"http://127.0.0.1:{plan.gateway_port}",
        "GATEWAY_LEDGER": f"{var}/gateway.sqlite3",
        "METRIC_FILES_DIR": f"{var}/metrics",
    }
    given = {name: value for name, value in environ.items() if value or name not in defaults}
    return {
        **defaults,
        **given,
        # Absolute, because the programs' working directory is another one.
        "VAR_DIR": var,
        "LOG_DIR": _folder(environ, "LOG_DIR", "logs"),
        "PORT": str(plan.port),
        "GATEWAY_PORT": str(plan.gateway_port),
        "WORKER_METRICS_PORT": str(plan.worker_port),
        "PYTHONUNBUFFERED": "1",
    }


def _folder(environ: Mapping[str, str], name: str, default: str) -> str:
    given = environ.get(name, "").strip()
    return str(Path(given).expanduser().resolve() if given else ROOT / default)


def preparation() -> dict[str, list[str]]:
    """Return the steps before the start: what people read, and the command."""
    manage = [sys.executable, "manage.py"]
    return {
        "database tables": [*manage, "migrate", "--noinput"],
        "administrator": [*manage, "create_admin"],
        "products and stock": [*manage, "populate_products", "--restock"],
    }


def servers() -> dict[str, list[str]]:
    """Return the programs that make the shop, by name."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py"]
    return {
        "web": [*gunicorn, "config.wsgi:application"],
        "worker": [sys.executable, "manage.py", "worker"],
        "gateway": [sys.executable, "-m", "gateway_simulator"],
    }


def shoppers(plan: Plan) -> list[str]:
    """Return the program that visits the shop."""
    url = f"http://127.0.0.1:{plan.port}"
    return [sys.executable, "-m", "drills.shoppers", "--url", url, "--shoppers", str(plan.shoppers)]


def banner(plan: Plan, log: Path) -> str:
    """Return what people read once the shop answers."""
    shop = f"http://127.0.0.1:{plan.port}"
    return f"""
  The shop is open.

    Shop      {shop}/
    Products  {shop}/products/
    Admin     {shop}/admin/   log in as admin / admin123
    Metrics   {shop}/metrics and http://127.0.0.1:{plan.worker_port}/metrics
    Gateway   http://127.0.0.1:{plan.gateway_port}/
    Log       tail -F {log} | jq
    Shoppers  {plan.shoppers or "none"}

  Ctrl-C stops everything.
"""


class Console:
    """Writes whole lines, from any thread, with the program's name before each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

    def write(self, text: str, name: str = "") -> None:
        """Write `text` and a line end. A console that has gone is no reason to stop reading."""
        prefix = f"{name:<8} | " if name else ""
        if name and sys.stdout.isatty():
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\033[{colour}m{prefix}\033[0m"
        with self._lock, contextlib.suppress(OSError, ValueError):
            print(f"{prefix}{text}", flush=True)


class Programs:
    """Starts programs, each the leader of its own process group, and stops them all.

    Ctrl-C in a terminal therefore reaches this program alone, which asks each leader to stop and
    lets it stop its own children in its own order.
    """

    def __init__(self, environ: Mapping[str, str], console: Console) -> None:
        self._environ = environ
        self._console = console
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []

    def start(self, name: str, command: list[str]) -> None:
        """Start `command` and write its lines to the console."""
        process = subprocess.Popen(
            command,
            cwd=APP,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        self._running[name] = process
        reader = threading.Thread(target=self._read, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._console.write(line.rstrip("\n"), name)

    def ended(self) -> str | None:
        """Say which program has ended by itself, and how; None while all run."""
        for name, process in self._running.items():
            status = process.poll()
            if status is not None:
                how = f"code {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
                return f"{name} ended by itself with {how}"
        return None

    def stop(self) -> None:
        """Ask every program to stop, and end what is left of its group after STOP_SECONDS."""
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._console.write(f"{name} did not stop within {STOP_SECONDS} s and is killed.")
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for reader in self._readers:
            reader.join(timeout=1)


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
        """Prepare, start, and return when asked to stop. Raises FailedError."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        for name in ("VAR_DIR", "LOG_DIR"):
            Path(self._environ[name]).mkdir(parents=True, exist_ok=True)
        for title, command in preparation().items():
            self._prepare(title, command)
        programs = Programs(self._environ, self._console)
        try:
            if not self._stopping:
                self._serve(programs)
        finally:
            self._console.write("Stopping…")
            programs.stop()
        self._console.write("Everything has stopped.")

    def _prepare(self, title: str, command: list[str]) -> None:
        """Run one step of the preparation; its output is shown only if it fails."""
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
                        process.wait(LOOK_SECONDS)
                process.terminate()
            if self._stopping:
                return
            if process.returncode:
                output.seek(0)
                self._console.write(output.read())
                raise FailedError(f"Preparing the {title} failed with code {process.returncode}.")
        self._console.write(f"Prepared the {title} ({time.monotonic() - began:.1f} s)")

    def _serve(self, programs: Programs) -> None:
        """Start everything and watch it until asked to stop. Raises FailedError."""
        for name, command in servers().items():
            programs.start(name, command)
        is_open = False
        while not self._stopping:
            time.sleep(LOOK_SECONDS)
            ended = programs.ended()
            if ended:
                raise FailedError(f"{ended}, so everything was stopped.")
            if not is_open and self._answers():
                is_open = True
                log = Path(self._environ["LOG_DIR"]) / "application.log"
                self._console.write(banner(self._plan, log))
                if self._plan.shoppers:
                    programs.start("shoppers", shoppers(self._plan))

    def _answers(self) -> bool:
        """Whether the shop is alive."""
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
