"""Returns of goods and refunds of money."""

from django.apps import AppConfig


class ReturnsConfig(AppConfig):
    name = "returns"

    def ready(self) -> None:
        """Register e-mails, jobs' pollers and stored times."""
        from retail import clocks, jobs  # noqa: PLC0415 - models first
        from returns import (  # noqa: PLC0415
            announcements,  # noqa: F401
            changes,
            refunding,
        )

        jobs.pollers.append(refunding.settle_due)
        jobs.pollers.append(changes.follow)
        clocks.stored_times.append(
            clocks.StoredTime(refunding.open_refunds, "due_at", lambda: refunding.LONGEST_WAIT)
        )
