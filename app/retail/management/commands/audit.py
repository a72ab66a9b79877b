"""Look over the shop's promises: what is new since the last audit, or with --full every row.

Exit status: 0 all kept, 1 a violation is open, 2 something could not be checked.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from django.core.management.base import BaseCommand

from retail.audit import runner
from retail.audit.declare import declared

SHOWN = 10  # subjects of one invariant; the rest is in the admin
LONGEST = 100  # characters of why something was not checked; the log has them all
ROW = "{:<28} {:>10} {:>10} {:>9}  {}"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--full", action="store_true", help="look at every row there is")
        parser.add_argument("--invariant", action="append", choices=sorted(declared))

    def handle(
        self, *args: object, full: bool, invariant: Sequence[str] | None, **options: object
    ) -> None:
        reports = runner.audit(invariant or (), full=full)
        self.stdout.write(ROW.format("invariant", "checked", "violations", "seconds", ""))
        for report in reports:
            more = len(report.subjects) - SHOWN
            told = [*report.subjects[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
            if report.problem:
                columns = ("-", "-", "-", f"not checked: {report.problem[:LONGEST]}")
            else:
                seconds = f"{report.seconds:.2f}"
                columns = (
                    str(report.checked),
                    str(len(report.subjects)),
                    seconds,
                    ", ".join(told),
                )
            self.stdout.write(ROW.format(report.invariant, *columns).rstrip())
        if any(report.subjects for report in reports):
            sys.exit(1)
        if any(report.problem for report in reports):
            sys.exit(2)
