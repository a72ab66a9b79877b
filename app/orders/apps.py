"""Orders."""

from django.apps import AppConfig

from retail.observability import exposition


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """Declare jobs, invariants and checks; register the gauge, the rollups and the poller."""
        from orders import (  # noqa: PLC0415 - models first
            audit,  # noqa: F401
            checks,  # noqa: F401
            confirmation,  # noqa: F401
            gateway_audit,  # noqa: F401
            metrics,
            recovery,
            rollups,
        )
        from retail import jobs, store  # noqa: PLC0415

        exposition.truths.add("payments", metrics.read_unknown)
        store.sources["orders_per_day"] = rollups.ORDERS
        store.sources["payment_success_rate"] = rollups.PAYMENTS
        jobs.watches.append(recovery.settle_due)
