"""Partner feeds: products, prices and stock from partners' files."""

from django.apps import AppConfig

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class PartnerFeedsConfig(AppConfig):
    name = "partner_feeds"
    verbose_name = "Partner feeds"

    def ready(self) -> None:
        """Register throttles."""
        from partner_feeds import push  # noqa: PLC0415 - apps are loaded before models

        THROTTLE_SCOPES.add(push.KEY_SCOPE)
        THROTTLE_SCOPES.add(push.PUSH_SCOPE)
