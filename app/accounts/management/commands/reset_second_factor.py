"""Remove a user's second factors and recovery codes, and log them out everywhere.

For the last superuser who has lost theirs; others are helped in the admin, under Users.
"""

from argparse import ArgumentParser

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from accounts.second_factor import factors_reset


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--username", required=True)

    def handle(self, *args: object, username: str, **options: object) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username}.")
        removed = factors_reset(user=user)
        self.stdout.write(
            f"Second factor of {username} removed." if removed else f"{username} had none."
        )
