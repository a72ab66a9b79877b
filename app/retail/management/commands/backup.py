"""Make a backup of the database: a dump and its manifest (docs/backups.md).

On PostgreSQL, pg_dump must be the server's version or a later one. `make backup` runs it in the
database's container.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from retail.backup.archive import BackupError, new_key
from retail.backup.console import stdout_for_data
from retail.backup.make import backup


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--folder",
            type=Path,
            default=settings.BACKUP_DIR,
            help="where to write it (default: %(default)s)",
        )
        parser.add_argument("--new-key", action="store_true", help="only print a new BACKUP_KEY")
        parser.add_argument(
            "--piped",
            action="store_true",
            help="print the name of a snapshot, and read pg_dump's output from standard input",
        )

    def handle(
        self, *args: object, folder: Path, new_key: bool, piped: bool, **options: Any
    ) -> None:
        if new_key:
            self._print_key()
            return
        try:
            if piped:
                with stdout_for_data() as answers:
                    made = backup(folder, settings.BACKUP_KEY, piped=(sys.stdin.buffer, answers))
            else:
                made = backup(folder, settings.BACKUP_KEY)
        except BackupError as error:
            raise CommandError(str(error)) from error
        how = "encrypted" if made.encrypted else "not encrypted: BACKUP_KEY is not set"
        self.stderr.write(
            f"{folder / made.name}: {made.size:,} bytes in {made.seconds:.1f} s, {how}."
        )

    def _print_key(self) -> None:
        key, public = new_key()
        self.stdout.write(f"{key}\n{public}")
