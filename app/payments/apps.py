"""Payments: the gateway's client and the circuit breaker."""

from django.apps import AppConfig

from retail.backup import ledgers
from retail.observability.prometheus import exposition


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"

    def ready(self) -> None:
        """Register the checks, the breaker's gauge, and the gateway's ledger."""
        from payments import checks, health, metrics, selectors  # noqa: F401, PLC0415 - apps come before models

        exposition.database_gauges.add("breakers", metrics.read_breakers)
        ledgers.register("gateway", selectors.gateway_ledger_position)
