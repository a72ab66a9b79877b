"""Payments: the gateway's client and the circuit breaker."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the gauge that reads the breaker's state at each scrape."""
        from payments import metrics  # noqa: PLC0415 - apps are loaded before models

        exposition.database_gauges.add("breakers", metrics.read_breakers)
