"""The accounts' own periodic job."""

from django.core.management import call_command

from retail.jobs import job


@job(every_minutes=24 * 60)
def prune_sessions() -> None:
    """Delete sessions that have expired."""
    call_command("clearsessions")
