"""Periodic jobs of the accounts app."""

from datetime import timedelta

from django.utils import timezone

from retail.jobs import job

NOTICES_KEPT = timedelta(days=30)
ADDRESSES_KEPT = timedelta(days=30)


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_sessions() -> None:
    """Delete expired sessions."""
    from accounts.sessions import SessionStore  # noqa: PLC0415 - apps are loaded before models

    SessionStore.clear_expired()


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_notices() -> int:
    """Delete notices that nobody has come back to see; the e-mail and the order's page remain."""
    from accounts.models import Notice  # noqa: PLC0415 - apps are loaded before models

    return Notice.objects.filter(created_at__lt=timezone.now() - NOTICES_KEPT).delete()[0]


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_addresses() -> int:
    """Forget new e-mail addresses that nobody has confirmed; the account's own one stays."""
    from accounts.models import EmailAddress  # noqa: PLC0415 - apps are loaded before models

    old = EmailAddress.objects.filter(pending_since__lt=timezone.now() - ADDRESSES_KEPT)
    return old.update(pending="", pending_since=None)
