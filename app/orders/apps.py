"""Orders."""

from django.apps import AppConfig

from retail.observability import exposition


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """Declare jobs and invariants, and let payments be read at each scrape."""
        from orders import (  # noqa: PLC0415 - models first
            audit,  # noqa: F401
            confirmation,  # noqa: F401
            gateway_audit,  # noqa: F401
            metrics,
            recovery,
        )
        from retail import jobs  # noqa: PLC0415

        exposition.truths.add("payments", metrics.read_unknown)
        jobs.watches.append(recovery.settle_due)
