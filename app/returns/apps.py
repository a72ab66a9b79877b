"""Returns of goods and refunds of money."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class ReturnsConfig(AppConfig):
    name = "returns"

    def ready(self) -> None:
        """Register health checks, gauges, personal data and the history of refunds."""
        from retail.history import rollups  # noqa: PLC0415 - models first
        from returns import health, history, metrics, personal  # noqa: F401, PLC0415

        exposition.database_gauges.add("refunds", metrics.read_refunds)
        rollups.sources["refunds_per_day"] = history.REFUNDS
