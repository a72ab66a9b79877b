"""Orders."""

from django.apps import AppConfig

from retail.observability import exposition


class OrdersConfig(AppConfig):
    name = "orders"

    def ready(self) -> None:
        """Declare the jobs, and let payments be read at each scrape."""
        from orders import confirmation, metrics, recovery  # noqa: F401, PLC0415 - models first
        from retail import jobs  # noqa: PLC0415

        exposition.truths.add("payments", metrics.read_unknown)
        exposition.truths.add("sales", metrics.read_paid, every=30)
        jobs.watches.append(recovery.settle_due)
