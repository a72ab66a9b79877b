"""Periodic jobs of the accounts app."""

from retail.jobs import job


@job(every_minutes=24 * 60, success_within_minutes=48 * 60)
def prune_sessions() -> None:
    """Delete expired sessions."""
    from accounts.sessions import SessionStore  # noqa: PLC0415 - apps are loaded before models

    SessionStore.clear_expired()
