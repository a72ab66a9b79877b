"""The accounts' own periodic job."""

from retail.jobs import job


@job(every_minutes=24 * 60)
def prune_sessions() -> None:
    """Delete sessions that have expired."""
    from accounts.sessions import SessionStore  # noqa: PLC0415 - apps are loaded before models

    SessionStore.clear_expired()
