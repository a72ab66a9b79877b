"""Returns of goods and refunds of money."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class ReturnsConfig(AppConfig):
    name = "returns"

    def ready(self) -> None:
        """Register pollers, e-mails, invariants, stored times, health checks, gauges, history."""
        from retail import clocks, jobs  # noqa: PLC0415 - models first
        from retail.history import rollups  # noqa: PLC0415
        from returns import (  # noqa: PLC0415
            announcements,  # noqa: F401
            audit,  # noqa: F401
            audit_gateway,  # noqa: F401
            changes,
            checks,  # noqa: F401
            health,  # noqa: F401
            history,
            metrics,
            personal,  # noqa: F401
            refunding,
        )

        exposition.database_gauges.add("refunds", metrics.read_refunds)
        rollups.sources["refunds_per_day"] = history.REFUNDS
        jobs.pollers += [refunding.settle_due, changes.follow]
        clocks.stored_times.append(
            clocks.StoredTime(refunding.open_refunds, "due_at", lambda: refunding.LONGEST_WAIT)
        )
