"""Audit the shop's invariants: rows added since the last audit, or every row with --full.

Exit status: 0 if there are no violations, 1 if any is open, 2 if something could not be checked.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from django.core.management.base import BaseCommand

from retail.audit import runner
from retail.audit.declare import declared

SHOWN = 10  # subjects of one invariant; the admin lists all
LONGEST = 100  # characters of a problem; the log has the full text
ROW = "{:<28} {:>10} {:>10} {:>9}  {}"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--full", action="store_true", help="audit every row")
        parser.add_argument(
            "--invariant",
            action="append",
            choices=sorted(declared),
            help="audit only this invariant (repeatable)",
        )

    def handle(
        self, *args: object, full: bool, invariant: Sequence[str] | None, **options: object
    ) -> None:
        reports = runner.audit(invariant or (), full=full)
        self.stdout.write(ROW.format("invariant", "checked", "violations", "seconds", ""))
        for report in reports:
            more = len(report.subjects) - SHOWN
            shown = [*report.subjects[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
            if report.problem:
                columns = ("-", "-", "-", f"not checked: {report.problem[:LONGEST]}")
            else:
                seconds = f"{report.seconds:.2f}"
                columns = (
                    str(report.checked),
                    str(len(report.subjects)),
                    seconds,
                    ", ".join(shown),
                )
            self.stdout.write(ROW.format(report.invariant, *columns).rstrip())
        if any(report.subjects for report in reports):
            sys.exit(1)
        if any(report.problem for report in reports):
            sys.exit(2)
