"""Partner feeds: products, prices and stock from partners' files."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class PartnerFeedsConfig(AppConfig):
    name = "partner_feeds"
    verbose_name = "Partner feeds"

    def ready(self) -> None:
        """Register the health check and the numbers that metrics read."""
        from partner_feeds import (  # noqa: PLC0415 - models first
            health,  # noqa: F401
            metrics,
        )

        exposition.database_gauges.add("feeds", metrics.read_feeds, every=metrics.EVERY_SECONDS)
