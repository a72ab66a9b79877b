"""System check: with DEBUG off, no staff account has the default admin password."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

DEFAULT_PASSWORD = "admin123"  # noqa: S105 - documented in the guide
MAX_STAFF_CHECKED = 100  # hashing each password is slow


def staff_with_default_password() -> list[str]:
    """Return the usernames of active staff whose password is still the default."""
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")[:MAX_STAFF_CHECKED]
    return [user.username for user in staff if user.check_password(DEFAULT_PASSWORD)]


@register(Tags.database)
def default_password(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report staff with the default password, if DEBUG is off and the tables exist."""
    if settings.DEBUG or not databases:
        return []
    try:
        names = staff_with_default_password()
    except DatabaseError:
        return []
    return [
        Error(
            f"Staff account {name!r} still has the default admin password.",
            hint=f"Run manage.py create_admin --username {name} --password …",
            id="accounts.E001",
        )
        for name in names
    ]


def refuse_default_password() -> None:
    """Raise ImproperlyConfigured if staff have the default password while DEBUG is off."""
    if errors := default_password(databases=["default"]):
        raise ImproperlyConfigured(" ".join(f"{error.msg} {error.hint}" for error in errors))
