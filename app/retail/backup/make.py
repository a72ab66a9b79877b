"""Makes a backup: a dump of one snapshot of the database, and the manifest of the same snapshot."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from time import perf_counter
from typing import IO, TYPE_CHECKING, Any, cast

import pyrage
from django.conf import settings
from django.db import Error, connection, connections, transaction
from django.utils import timezone

from retail.backup import ledgers
from retail.backup.archive import ENCRYPTED, PARTIAL, BackupError, Manifest, only_one, store
from retail.backup.client import LOCK_WAIT, Client
from retail.backup.contents import contents
from retail.backup.records import last_positions, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retail.backup.archive import Reader

# Follows a dump on standard input, if pg_dump has succeeded (tools/backup.sh).
COMPLETE = b"\nvitrine: the dump is complete\n"
Pipes = tuple[IO[bytes], IO[bytes]]  # for the dump, and for the name of its snapshot
SNAPSHOT_SECONDS = 600  # for pg_dump to take the snapshot over

logger = logging.getLogger("retail.backup")


def backup(folder: Path, key: str, *, piped: Pipes | None = None) -> Manifest:
    """Make a backup and record it. Raises BackupError, and leaves no file behind then.

    With `piped`, pg_dump runs elsewhere: it needs the name of the snapshot, and writes the dump.
    """
    try:
        with only_one(folder):
            manifest = _backup(folder, key, piped)
            try:
                manifest.write(folder)
            except BaseException:
                (folder / manifest.name).unlink()
                raise
    except (OSError, pyrage.EncryptError, sqlite3.Error, Error) as error:
        raise BackupError(f"No backup: {error}.") from error
    try:
        record(manifest)
    except Error as error:
        raise BackupError(f"{manifest.name} is good, but not recorded: {error}.") from error
    fields = {"file": manifest.name, "size": manifest.size, "seconds": manifest.seconds}
    logger.info("event=backup.done", extra={**fields, "encrypted": manifest.encrypted})
    return manifest


def _backup(folder: Path, key: str, piped: Pipes | None) -> Manifest:
    started = perf_counter()
    position = ledgers.positions(last_positions())
    taken_at = timezone.now()
    name = f"vitrine-{taken_at:%Y%m%dT%H%M%S%fZ}.{_KINDS[connection.vendor]}"
    name += ENCRYPTED if key else ""
    snapshot = _of_postgres(piped) if connection.vendor == "postgresql" else _of_sqlite(folder)
    try:
        with snapshot as (dump, found):
            written = store(dump, folder, name, key)
    except BaseException:
        (folder / name).unlink(missing_ok=True)
        (folder / (name + PARTIAL)).unlink(missing_ok=True)
        raise
    return Manifest(
        name=name,
        taken_at=taken_at.isoformat(),
        finished_at=timezone.now().isoformat(),
        seconds=round(perf_counter() - started, 3),
        size=written.size,
        sha256=written.sha256.hexdigest(),
        encrypted=bool(key),
        engine=connection.vendor,
        server=".".join(map(str, connection.get_database_version())),
        version=settings.VERSION,
        revision=settings.REVISION,
        ledgers={name: dict(position) for name, position in position.items()},
        contents=found,
    )


_KINDS = {"sqlite": "sqlite3", "postgresql": "dump"}


@contextmanager
def _of_sqlite(folder: Path) -> Iterator[tuple[Reader, dict[str, Any]]]:
    """Yield a copy of the database, and what is in it."""
    path = folder / f"copy{PARTIAL}"
    try:
        with closing(sqlite3.connect(path)) as copy:
            path.chmod(0o600)
            connection.ensure_connection()
            # All pages in one step: buyers who write meanwhile do not make it start again.
            connection.connection.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode=DELETE")
        with other_file(path) as alias:
            found = contents(alias)
        with path.open("rb") as dump:
            yield dump, found
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def other_file(path: Path) -> Iterator[str]:
    """Yield the alias of another SQLite database, to read it with models."""
    alias = "other_file"
    connections.settings[alias] = {
        **connections.settings["default"],
        "NAME": str(path),
        "OPTIONS": {},
    }
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def _of_postgres(piped: Pipes | None) -> Iterator[tuple[Reader, dict[str, Any]]]:
    """Yield a dump of the snapshot of a transaction, and what is in it.

    The transaction must last until pg_dump has the snapshot: its first output shows that.
    """
    dump: _Piped | _Dumped
    connection.close()  # a new one, so that nothing of this session is in the way
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            limit = f"{SNAPSHOT_SECONDS}s"
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = %s", [limit])
            cursor.execute("SELECT pg_export_snapshot()")
            snapshot = cursor.fetchone()[0]
        found = contents("default")
        dump = _Piped(*piped, snapshot) if piped else _Dumped(snapshot)
        dump.begin()
    try:
        yield dump, found
        dump.end()
    finally:
        dump.close()


class _Dumped:
    """The output of pg_dump, run here."""

    def __init__(self, snapshot: str) -> None:
        options = ("--format=custom", f"--lock-wait-timeout={LOCK_WAIT}", f"--snapshot={snapshot}")
        self.client = Client("pg_dump", *options, stdout=subprocess.PIPE)
        self.output = cast("IO[bytes]", self.client.process.stdout)
        self.first = b""

    def begin(self) -> None:
        """Wait for the first output."""
        self.first = self.output.read(1)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        first, self.first = self.first, b""
        return first or self.output.read(size)

    def end(self) -> None:
        """Check that pg_dump has succeeded."""
        self.client.end()

    def close(self) -> None:
        """End pg_dump, if it still runs."""
        self.client.close()


class _Piped:
    """A dump that pg_dump writes in another container."""

    def __init__(self, dump: IO[bytes], answers: IO[bytes], snapshot: str) -> None:
        self.dump, self.answers, self.snapshot, self.held = dump, answers, snapshot, b""

    def begin(self) -> None:
        """Say which snapshot it is, and wait for the first output."""
        self.answers.write(f"{self.snapshot}\n".encode())
        self.answers.flush()
        self.held = self.dump.read(len(COMPLETE))

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; the last ones are held back, to be looked at in the end."""
        self.held += self.dump.read(size)
        ready = self.held[: -len(COMPLETE)]
        self.held = self.held[-len(COMPLETE) :]
        return ready

    def end(self) -> None:
        """Check that pg_dump has succeeded."""
        if self.held != COMPLETE:
            raise BackupError("pg_dump has failed: its output is not complete.")

    def close(self) -> None:
        """Do nothing: whoever started pg_dump ends it."""
