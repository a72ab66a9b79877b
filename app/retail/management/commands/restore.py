"""Restore a backup, compare the database with it, and audit all of it (docs/backups.md).

Exit status: 0 if the database is as it was, 1 if it is not. What the gateway has charged since the
backup is listed: the shop no longer knows of it.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from retail.backup import restore, scratch
from retail.backup.archive import BackupError, Manifest, plain
from retail.backup.console import stdout_for_data
from retail.backup.records import record_restore

MOST_SHOWN = 20
_ADVICE = """
What happened after the backup is not in the database. Refund each charge of charge_has_payment at
the gateway (docs/backups.md). The worker settles what is pending."""


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dump", type=Path, help="the backup; its manifest lies next to it")
        parser.add_argument(
            "--replace", action="store_true", help="restore although the database is not empty"
        )
        parser.add_argument("--database", help="another database than the shop's")
        ways = parser.add_mutually_exclusive_group()
        ways.add_argument(
            "--into-scratch",
            action="store_true",
            help="restore into a new database, which is deleted afterwards, and record the time",
        )
        ways.add_argument(
            "--piped", action="store_true", help="only check, and write it to standard output"
        )
        ways.add_argument(
            "--verify", action="store_true", help="only compare and audit what was restored"
        )
        ways.add_argument(
            "--took", type=float, help="only record a restore that took so many seconds"
        )

    def handle(self, *args: object, dump: Path, **options: Any) -> None:
        if options["database"]:
            connection.close()
            connection.settings_dict["NAME"] = options["database"]
        try:
            self._handle(dump, options)
        except BackupError as error:
            raise CommandError(str(error)) from error

    def _handle(self, dump: Path, options: Mapping[str, Any]) -> None:
        key, replace, started = settings.BACKUP_KEY, options["replace"], perf_counter()
        if options["into_scratch"]:
            seconds = scratch.measure(dump)
            self._say(f"Restored and audited in {seconds:.1f} s, and deleted again.")
        elif options["piped"]:
            with stdout_for_data() as output:
                manifest = restore.checked(dump, key, replace=replace)
                plain(dump, manifest, key, output)
        elif options["took"] is not None:
            record_restore(Manifest.of(dump), options["took"], "")
        elif options["verify"]:
            self._verify(Manifest.of(dump))
        else:
            manifest = restore.checked(dump, key, replace=replace)
            restore.restore(dump, manifest, key)
            self._verify(manifest)
            record_restore(manifest, perf_counter() - started, "")

    def _verify(self, manifest: Manifest) -> None:
        """Print what is wrong with a restored database."""
        result = restore.verify(manifest)
        if result.problem:
            raise CommandError(f"The database is not as it was: {result.problem}.")
        self._say(f"The database is as it was at {manifest.taken_at}; the audit agrees.")
        if result.not_checked:
            names = ", ".join(result.not_checked)
            self._say(f"Not audited, because the gateway does not answer: {names}.")
        if result.since:
            more = len(result.since) - MOST_SHOWN
            lines = [*result.since[:MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
            self._say("\n".join((*lines, _ADVICE.lstrip())))

    def _say(self, text: str) -> None:
        """Print to standard error: standard output may be for the dump."""
        self.stderr.write(text)
