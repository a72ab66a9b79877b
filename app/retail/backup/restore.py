"""Restores a backup: checks first, then all or nothing, then a comparison and the audit."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, cast

import pyrage
from django.db import Error, connection
from django.utils import timezone

from retail.audit import runner
from retail.audit.declare import declared
from retail.backup.archive import PARTIAL, BackupError, Manifest, check, plain, private
from retail.backup.client import Client
from retail.backup.contents import applied, contents, difference, is_empty, known
from retail.backup.make import other_file
from retail.models import WorkerHeartbeat
from retail.thresholds import THRESHOLDS, in_words

KEPT_ASIDE = ".before-restore"


@dataclass(frozen=True)
class Verified:
    """Result of comparing a restored database with its backup and auditing it."""

    problem: str  # in a line; nothing if the database is as it was
    since: tuple[str, ...]  # what was entered in a ledger after the backup, and is missing
    not_checked: tuple[str, ...]  # invariants: the gateway did not answer


def checked(dump: Path, key: str, *, replace: bool) -> Manifest:
    """Return the manifest if the backup can be restored here. Raises BackupError."""
    manifest = Manifest.of(dump)
    check(dump, manifest, key)
    if manifest.engine != connection.vendor:
        raise BackupError(
            f"{dump.name} is a backup of {manifest.engine}, and this shop uses {connection.vendor}."
        )
    if connection.vendor == "postgresql":
        ours, theirs = connection.get_database_version()[0], int(manifest.server.split(".")[0])
        if ours < theirs:
            raise BackupError(f"{dump.name} is of PostgreSQL {theirs}, and this server is {ours}.")
    _check_migrations(dump, manifest)
    if not replace and not is_empty("default"):
        raise BackupError("The database is not empty. With --replace, all that is in it is lost.")
    _check_nobody_works()
    return manifest


def _check_migrations(dump: Path, manifest: Manifest) -> None:
    """Other tables than this version's cannot be audited, and the shop would not start on them."""
    ours, theirs = known(), manifest.contents["migrations"]
    apps = [app for app in sorted({*ours, *theirs}) if ours.get(app) != theirs.get(app)]
    if apps:
        app = apps[0]
        raise BackupError(
            f"{dump.name} was made by version {manifest.version} ({manifest.revision or 'unknown'})"
            f" with other tables: the last migration of {app} is {theirs.get(app)}, here "
            f"{ours.get(app)}. Restore it with that version, then update."
        )


def _check_nobody_works() -> None:
    if WorkerHeartbeat._meta.db_table not in connection.introspection.table_names():  # noqa: SLF001 - documented API
        return
    alive = timezone.now() - timedelta(seconds=THRESHOLDS.worker.silent_after_seconds)
    if WorkerHeartbeat.objects.filter(seen_at__gt=alive).exists():
        raise BackupError(
            "The worker runs, or ran until a moment ago. Stop web and worker, wait "
            f"{in_words(THRESHOLDS.worker.silent_after_seconds)}, and try again."
        )


def restore(dump: Path, manifest: Manifest, key: str) -> None:
    """Replace what is in the database by the backup, or change nothing. Raises BackupError."""
    connection.close()
    try:
        if connection.vendor == "postgresql":
            _into_postgres(dump, manifest, key)
        else:
            _into_sqlite(dump, manifest, key)
    except (OSError, pyrage.DecryptError, sqlite3.Error, Error) as error:
        raise BackupError(f"Nothing was restored: {error}.") from error


def _into_postgres(dump: Path, manifest: Manifest, key: str) -> None:
    """Let pg_restore do it in one transaction."""
    options = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error")
    to = ("--no-owner", "--no-privileges", "--no-comments", f"--dbname={_database()}")
    client = Client("pg_restore", *options, *to, stdin=subprocess.PIPE)
    entrance = cast("IO[bytes]", client.process.stdin)
    try:
        try:
            plain(dump, manifest, key, entrance)
            entrance.close()
        except BrokenPipeError:  # pg_restore has ended, and says why
            client.end()
            raise
        client.end()
    finally:
        client.close()


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _into_sqlite(dump: Path, manifest: Manifest, key: str) -> None:
    """Put a file that was looked at in the place of the database, which is kept aside."""
    target = Path(_database())
    restored = target.with_name(target.name + PARTIAL)
    try:
        with private(restored) as file:
            plain(dump, manifest, key, file)
            os.fsync(file.fileno())
        with closing(sqlite3.connect(restored)) as opened:
            (found,) = opened.execute("PRAGMA integrity_check").fetchone()
        with other_file(restored) as alias:
            problem = found if found != "ok" else difference(manifest.contents, contents(alias))
        if problem:
            raise BackupError(f"{dump.name} is not what was backed up: {problem}.")
        _swap(restored, target)
    finally:
        restored.unlink(missing_ok=True)


def _swap(restored: Path, target: Path) -> None:
    if target.exists():
        with closing(sqlite3.connect(target)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            old.execute("PRAGMA journal_mode=DELETE")  # fails if anybody uses it
        target.replace(target.with_name(target.name + KEPT_ASIDE))
    restored.replace(target)


def verify(manifest: Manifest) -> Verified:
    """Compare a restored database with its manifest, then audit it."""
    if applied("default") != manifest.contents["migrations"]:
        return Verified("other migrations than in the backup", (), ())
    if differs := difference(manifest.contents, contents("default")):
        return Verified(differs, (), ())
    reports = runner.audit(full=True)
    later = [r for r in reports if declared[r.invariant].since_backup]
    broken = [
        f"{r.invariant}: {', '.join(r.subjects[:3])}"
        for r in reports
        if r.subjects and r not in later
    ]
    return Verified(
        "; ".join(broken),
        tuple(f"{r.invariant}: {subject}" for r in later for subject in r.subjects),
        tuple(r.invariant for r in reports if r.problem),
    )
