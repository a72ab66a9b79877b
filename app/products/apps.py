"""The product catalogue and the stock ledger."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class ProductsConfig(AppConfig):
    name = "products"

    def ready(self) -> None:
        """Register invariants, checks and a throttle; create the search index after migrations."""
        from products import audit, checks  # noqa: F401, PLC0415 - apps are loaded before models
        from products.search_index import create_index  # noqa: PLC0415 - the same
        from products.views import SEARCH_SCOPE  # noqa: PLC0415 - the same

        post_migrate.connect(create_index, sender=self)
        THROTTLE_SCOPES.add(SEARCH_SCOPE)
