"""Create the admin user. Does nothing if it already exists and no --password is given.

The default password is admin123, which is allowed only with DEBUG on. With --password, an existing
user's password is changed too.
"""

from argparse import ArgumentParser

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from accounts.addresses import address_trust
from accounts.checks import DEFAULT_PASSWORD


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="admin@example.com")
        parser.add_argument("--password", help="required with DEBUG off")

    def handle(
        self, *args: object, username: str, email: str, password: str | None, **options: object
    ) -> None:
        if not settings.DEBUG and password in {None, DEFAULT_PASSWORD}:
            raise CommandError("With DEBUG off, choose your own admin password with --password.")
        user = User.objects.filter(username=username).first()
        if user is None:
            user = User(username=username, email=email)
        elif password is None and user.is_superuser and user.is_staff and user.is_active:
            self.stdout.write(f"Admin {username} already exists; password unchanged.")
            return
        if password is not None and not settings.DEBUG:
            try:
                validate_password(password, user)
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        existed = user.pk is not None
        user.is_staff = user.is_superuser = user.is_active = True
        if password is not None or not existed:
            user.set_password(password or DEFAULT_PASSWORD)
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            reasons = (f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise CommandError(" ".join(reasons)) from error
        try:
            user.save()
        except IntegrityError as error:  # by another process, since it was looked up
            raise CommandError(f"{username} already exists: it was created just now.") from error
        if not existed and email and not address_trust(user=user):
            self.stdout.write(f"{email} belongs to another account: it must be confirmed.")
        self.stdout.write(f"Admin {username} {'updated' if existed else 'created'}.")
