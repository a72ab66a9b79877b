"""Partner feeds: products, prices and stock from partners' files."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition
from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class PartnerFeedsConfig(AppConfig):
    name = "partner_feeds"
    verbose_name = "Partner feeds"

    def ready(self) -> None:
        """Register throttles, health check, invariant, and the numbers that metrics read."""
        from partner_feeds import (  # noqa: PLC0415 - apps are loaded before models
            audit,  # noqa: F401
            files,
            health,  # noqa: F401
            metrics,
            push,
        )

        files.incoming()  # Django's uploads need it
        THROTTLE_SCOPES.add(push.KEY_SCOPE)
        THROTTLE_SCOPES.add(push.PUSH_SCOPE)
        exposition.database_gauges.add("feeds", metrics.read_feeds, every=metrics.EVERY_SECONDS)
