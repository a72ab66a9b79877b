"""Payments: the gateway's client and the circuit breaker."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the checks, and the breaker's gauge."""
        from payments import checks, health, metrics  # noqa: F401, PLC0415 - apps come before models

        exposition.database_gauges.add("breakers", metrics.read_breakers)
