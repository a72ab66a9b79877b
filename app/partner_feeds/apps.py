"""Partner feeds: products, prices and stock from partners' files."""

from django.apps import AppConfig


class PartnerFeedsConfig(AppConfig):
    name = "partner_feeds"
    verbose_name = "Partner feeds"
