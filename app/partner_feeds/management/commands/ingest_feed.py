"""Take in a partner's file, try it without changing anything (--dry-run), or take it back.

Exit status: 0 if it was applied (or would be), 1 if it is held, 2 if it was refused.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from partner_feeds import intake, services
from partner_feeds.applying import apply_all
from partner_feeds.models import Ingestion, Partner
from partner_feeds.trial import MOST_KEYS, try_file

SHOWN = 20  # rejected rows; the desk lists all of them
EVERY_SECONDS = 0.5
HELD, REFUSED = 1, 2
CLEAR = "\r\x1b[K"  # the line of a terminal


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("partner", help="the partner's slug")
        parser.add_argument("file", type=Path, nargs="?")
        parser.add_argument("--dry-run", action="store_true", help="only read; change nothing")
        parser.add_argument(
            "--apply-anyway", metavar="REASON", default="", help="also if it exceeds a limit"
        )
        parser.add_argument(
            "--take-back", metavar="REFERENCE", default="", help="undo what a file changed"
        )

    def handle(
        self, *args: object, partner: str, file: Path | None, dry_run: bool, **options: Any
    ) -> None:
        found = Partner.objects.filter(slug=partner).first()
        if found is None:
            known = ", ".join(Partner.objects.values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no partner {partner!r}; there are: {known}.")
        if options["take_back"]:
            self.take_back(found, options["take_back"])
        elif file is None or not file.is_file():
            raise CommandError(f"There is no file {file}." if file else "Name a file.")
        elif dry_run:
            self.dry_run(found, file)
        else:
            self.take_in(found, file, options["apply_anyway"])

    def dry_run(self, partner: Partner, file: Path) -> None:
        with file.open("rb") as opened:
            trial = try_file(partner, opened)
        for reject in trial.rejects:
            self.stdout.write(f"line {reject.line}: {reject.sentence}")
        for line, note in trial.notes:
            self.stdout.write(f"line {line}: {note}")
        if trial.error:
            self.refused(trial.error.code, str(trial.error))
        rows = trial.rows
        self.stdout.write(
            f"{rows:,} row{'' if rows == 1 else 's'}, {trial.good:,} good. Nothing was changed."
        )
        for code, count in trial.codes.most_common():
            self.stdout.write(f"  {count:,} {code}")
        if not trial.all_keys:
            self.stdout.write(f"Only the first {MOST_KEYS:,} keys were compared with each other.")

    def take_in(self, partner: Partner, file: Path, apply_anyway: str) -> None:
        began = monotonic()
        try:
            with file.open("rb") as opened:
                ingestion = intake.ingest(partner, opened, report=Progress(self, "read"))
        except services.IngestionRefusedError as error:
            raise CommandError(str(error)) from error
        if ingestion.status == Ingestion.Status.HELD and apply_anyway:
            services.apply_anyway(ingestion, user_id=None, reason=apply_anyway)
        if ingestion.status == Ingestion.Status.APPLYING:
            apply_all(ingestion, Progress(self, "applied"))
            ingestion.refresh_from_db()
        self.show(ingestion, monotonic() - began)

    def take_back(self, partner: Partner, reference: str) -> None:
        began = monotonic()
        ingestion = partner.ingestions.filter(reference=reference.upper()).first()
        if ingestion is None:
            raise CommandError(f"{partner} has no ingestion {reference}.")
        try:
            back = services.take_back(ingestion, user_id=None)
        except services.IngestionRefusedError as error:
            raise CommandError(str(error)) from error
        apply_all(back, Progress(self, "taken back"))
        back.refresh_from_db()
        self.show(back, monotonic() - began)

    def show(self, ingestion: Ingestion, seconds: float) -> None:
        if sys.stderr.isatty():
            self.stderr.write(CLEAR, ending="")
        for reject in ingestion.rejects.order_by("line", "pk")[:SHOWN]:
            where = f"line {reject.line}" if reject.line else reject.by_name().get("sku", "")
            self.stdout.write(f"{where}: {reject.sentence}")
        if ingestion.rejected > SHOWN:
            self.stdout.write(f"and {ingestion.rejected - SHOWN:,} more rejected rows")
        if ingestion.status == Ingestion.Status.FAILED:
            self.refused(ingestion.code, ingestion.problem)
        if ingestion.status == Ingestion.Status.UNCHANGED:
            self.stdout.write(f"{ingestion}: the same file as before. Nothing was changed.")
            return
        if ingestion.status == Ingestion.Status.HELD:
            self.stdout.write(f"{ingestion} is held. Nothing was changed.")
            for finding in ingestion.held_for:
                self.stdout.write(f"  {finding}")
            self.stdout.write("To apply it anyway, repeat the command with --apply-anyway REASON.")
            sys.exit(HELD)
        self.stdout.write(
            f"{ingestion}: {ingestion.rows:,} rows in {seconds:.1f} s: {ingestion.created:,} "
            f"created, {ingestion.updated:,} updated, {ingestion.unchanged:,} unchanged, "
            f"{ingestion.rejected:,} rejected."
        )

    def refused(self, code: str, sentence: str) -> None:
        self.stderr.write(f"The file is refused ({code}). {sentence} Nothing was changed.")
        sys.exit(REFUSED)


class Progress:
    """Writes how many rows are done, and how many a second, on one line of a terminal."""

    def __init__(self, command: Command, word: str) -> None:
        self.command = command
        self.word = word
        self.began = self.shown = monotonic()

    def __call__(self, rows: int) -> None:
        now = monotonic()
        if now - self.shown < EVERY_SECONDS or not sys.stderr.isatty():
            return
        self.shown = now
        rate = rows / (now - self.began)
        self.command.stderr.write(f"{CLEAR}{rows:,} rows {self.word}, {rate:,.0f}/s", ending="")
