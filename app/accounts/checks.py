"""The default admin password opens nothing with DEBUG off."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

DEFAULT_PASSWORD = "admin123"  # noqa: S105 - the guide's
STAFF_LOOKED_AT = 100  # checking a password takes its time, and staff are few


def staff_with_default_password() -> list[str]:
    """Return the names of staff whose password is still the default one."""
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")[:STAFF_LOOKED_AT]
    return [user.username for user in staff if user.check_password(DEFAULT_PASSWORD)]


@register(Tags.database)
def default_password(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Report staff with the default password, where DEBUG is off and the tables exist."""
    if settings.DEBUG or not databases:
        return []
    try:
        names = staff_with_default_password()
    except DatabaseError:
        return []
    return [
        Error(
            f"The default admin password still opens the account {name!r}.",
            hint=f"manage.py create_admin --username {name} --password …",
            id="accounts.E001",
        )
        for name in names
    ]


def refuse_default_password() -> None:
    """Raise ImproperlyConfigured if the default password opens anything with DEBUG off."""
    if errors := default_password(databases=["default"]):
        raise ImproperlyConfigured(" ".join(f"{error.msg} {error.hint}" for error in errors))
