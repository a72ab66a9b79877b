"""Servers to measure: the shop and others under gunicorn, each with its files in a folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg2

from benchmarks.support.client import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
PATIENCE = 60  # seconds a server may take to start or to stop


Serving = contextlib.AbstractContextManager[int]  # of a server that listens on this port


class ServerError(Exception):
    """A program did not start; the message has the end of what it said."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def shop_environment(
    folder: Path, database_url: str, *, workers: int, threads: int, **more: str
) -> dict[str, str]:
    """Return the environment of a shop as in production: DEBUG off, everything observable on."""
    return {
        "PATH": os.environ["PATH"],
        "DEBUG": "False",
        "DEMO": "True",  # buyers pay with test cards
        "HTTPS": "False",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "GATEWAY_API_KEY": secrets.token_urlsafe(20),
        "METRICS_TOKEN": secrets.token_urlsafe(20),
        "ALERTS_TOKEN": secrets.token_urlsafe(20),
        "ALLOWED_HOSTS": HOST,
        "EMAIL_HOST": HOST,  # nothing is sent: there is no worker
        "DATABASE_URL": database_url,
        "VAR_DIR": str(folder / "var"),
        "LOG_DIR": str(folder / "logs"),
        "STATIC_ROOT": str(folder / "static"),
        "WEB_CONCURRENCY": str(workers),
        "WEB_THREADS": str(threads),
        **more,
    }


def database(database_url: str, name: str) -> str:
    """Make another database on the same PostgreSQL server and return its URL."""
    connection = psycopg2.connect(database_url)
    with contextlib.closing(connection), connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE DATABASE {name}")
    return urlsplit(database_url)._replace(path=f"/{name}").geturl()


def manage(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a management command of the shop. Raises ServerError if it fails."""
    call([sys.executable, "manage.py", *arguments], environment, APP)


def prepare_shop(environment: Mapping[str, str]) -> None:
    """Make the shop's tables, sample products and static files."""
    manage(environment, "migrate", "--noinput")
    manage(environment, "populate_products")
    manage(environment, "collectstatic", "--noinput")


def call(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> str:
    """Run a command to its end and return what it printed. Raises ServerError if it fails."""
    done = subprocess.run(
        command, check=False, cwd=folder, env=dict(environment), capture_output=True, text=True
    )
    if done.returncode:
        raise ServerError(f"{' '.join(command)[:200]}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def shop(environment: Mapping[str, str], folder: Path) -> Serving:
    """Serve the shop by its own gunicorn settings; the context is its port."""
    command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py"]
    port = free_port()
    return serve([*command, "config.wsgi"], {**environment, "PORT": str(port)}, APP, folder, port)


def python(module: str, folder: Path) -> Serving:
    """Run a module of the benchmarks as a server; it is given its port."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"]}
    return serve([sys.executable, "-m", module, str(port)], environment, ROOT, folder, port)


@contextlib.contextmanager
def serve(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path, folder: Path, port: int
) -> Iterator[int]:
    """Run a program that listens on `port`; what it prints goes to `output` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "output"
    with output.open("ab") as stdout:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdout=stdout, stderr=stdout
        )
    try:
        _wait(process, port, output)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    """Wait until the program takes connections. Raises ServerError if it ends or never does."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise ServerError(f"nothing listens on {port}: {output.read_text()[-2000:]}")


def gunicorn(
    python: str | Path, application: str, port: int, *, workers: int, threads: int
) -> list[str]:
    """Return the command that serves another application in the way the shop is served."""
    memory = ["--worker-tmp-dir", "/dev/shm"] if Path("/dev/shm").is_dir() else []  # noqa: S108
    return [
        str(python), "-m", "gunicorn", application, "--bind", f"{HOST}:{port}",
        "--workers", str(workers), "--threads", str(threads), "--worker-class", "gthread",
        "--keep-alive", "5", "--no-control-socket", *memory,
    ]  # fmt: skip
