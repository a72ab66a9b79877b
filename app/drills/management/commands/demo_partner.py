"""Create a synthetic partner, whose files the worker takes in every twelve minutes. Safe to repeat.

With --stop, it delivers no more. Only for development and demos.
"""

from argparse import ArgumentParser
from contextlib import suppress

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from drills import demo_partner
from partner_feeds.services import IngestionRefusedError


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--stop", action="store_true", help="let it deliver no more")

    def handle(self, *args: object, stop: bool, **options: object) -> None:
        if stop:
            demo_partner.stop()
            self.stdout.write(f"{demo_partner.NAME} delivers no files.")
            return
        if not demo_partner.is_allowed():
            raise CommandError("Synthetic products need DEBUG=True or DEMO=True.")
        partner = demo_partner.start()
        with suppress(IngestionRefusedError):  # its last file is still being taken in
            demo_partner.deliver(timezone.now())
        self.stdout.write(f"{partner} delivers a file every {demo_partner.EVERY_MINUTES} minutes.")
