"""Delete metric rows older than --days in small batches. Rollups are kept."""

from argparse import ArgumentParser, ArgumentTypeError

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from retail.health import counted
from retail.history import rollups

MOST_DAYS = 36_500  # a century; dates have a minimum


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(
            f"must be a whole number of days from 1 to {MOST_DAYS}, not {text!r}."
        ) from None


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=_whole,
            default=settings.METRIC_KEEP_DAYS,
            help="keep rows of this many days (default: %(default)s)",
        )

    def handle(self, *args: object, days: int, **options: object) -> None:
        if not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days must be from 1 to {MOST_DAYS}.")
        self.stdout.write(
            f"Deleted {counted(rollups.prune(days, timezone.now()), 'row')} "
            f"older than {counted(days, 'day')}."
        )
