"""Orders: checkout, settlement, recovery and their audits."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """Register jobs, e-mails, invariants, health checks, gauges and the rollups' tables."""
        from orders import (  # noqa: PLC0415 - models first
            announcements,  # noqa: F401
            audit,  # noqa: F401
            audit_gateway,  # noqa: F401
            audit_stock,  # noqa: F401
            checks,  # noqa: F401
            health,  # noqa: F401
            history,
            metrics,
            recovery,
            selectors,
        )
        from retail import clocks, jobs, measures  # noqa: PLC0415
        from retail.history import rollups  # noqa: PLC0415

        exposition.database_gauges.add("payments", metrics.read_unknown)
        measures.register_open_payments(selectors.open_payments)
        measures.register_paid_lately(selectors.paid_since)
        rollups.sources["orders_per_day"] = history.ORDERS
        rollups.sources["payment_success_rate"] = history.PAYMENTS
        jobs.pollers.append(recovery.settle_due)
        clocks.stored_times.append(
            clocks.StoredTime(selectors.unfinished, "due_at", recovery.longest_wait)
        )
