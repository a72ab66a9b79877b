"""System checks: no default admin password with DEBUG off; links in e-mails have a safe host."""

from django.conf import settings
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, Error, register

from retail.startup import STARTUP, startup_check
from retail.web.public_url import exact_hosts

DEFAULT_PASSWORD = "admin123"  # noqa: S105 - documented in the guide
MAX_STAFF_CHECKED = 100  # hashing each password is slow


def staff_with_default_password() -> list[str]:
    """Return the usernames of active staff whose password is still the default."""
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")[:MAX_STAFF_CHECKED]
    return [user.username for user in staff if user.check_password(DEFAULT_PASSWORD)]


@register(STARTUP)
def links_of_emails(**_: object) -> list[CheckMessage]:
    """Report that links in e-mails would have no host that a stranger cannot choose."""
    if settings.SHOP_URL or exact_hosts():
        return []
    hint = "Set SHOP_URL to the shop's public address."
    return [Error("ALLOWED_HOSTS has only patterns.", hint=hint, id="accounts.E002")]


@startup_check
def default_password() -> list[CheckMessage]:
    """Report staff with the default password, if DEBUG is off."""
    names = [] if settings.DEBUG else staff_with_default_password()
    return [
        Error(
            f"Staff account {name!r} still has the default admin password.",
            hint=f"Run manage.py create_admin --username {name} --password …",
            id="accounts.E001",
        )
        for name in names
    ]
