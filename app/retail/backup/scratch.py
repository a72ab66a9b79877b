"""Tries a restore: into a new database, by the same command, timed and then deleted."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import DatabaseError, connection

from retail.backup.archive import BackupError, Manifest
from retail.backup.records import record_restore

if TYPE_CHECKING:
    from collections.abc import Iterator


def measure(dump: Path) -> float:
    """Restore a backup into a new database and audit it; record and return the seconds.

    Raises BackupError, and records the problem, if the restored database is not as it was.
    """
    manifest = Manifest.of(dump)
    started = perf_counter()
    manage = Path(settings.BASE_DIR, "manage.py")
    with _database() as name:
        done = subprocess.run(  # noqa: S603 - this very program
            [sys.executable, manage, "restore", dump.resolve(), "--database", name],
            cwd=settings.BASE_DIR,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    seconds = perf_counter() - started
    problem = (done.stderr.strip() or "no message").splitlines()[-1] if done.returncode else ""
    record_restore(manifest, seconds, problem)
    if problem:
        raise BackupError(problem)
    return seconds


@contextmanager
def _database() -> Iterator[str]:
    """Yield the name of a new, empty database."""
    if connection.vendor == "sqlite":
        around = Path(connection.settings_dict["NAME"]).parent
        with tempfile.TemporaryDirectory(dir=around, prefix="restore-") as folder:
            yield f"{folder}/restored.sqlite3"
        return
    name = f"restore_{uuid.uuid4().hex}"
    quoted = connection.ops.quote_name(name)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {quoted}")
    except DatabaseError as error:
        raise BackupError(f"No database to restore into: {error}") from error
    try:
        yield name
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {quoted} WITH (FORCE)")
