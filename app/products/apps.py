"""The catalogue and the stock."""

from django.apps import AppConfig

from retail.observability import exposition


class ProductsConfig(AppConfig):
    name = "products"

    def ready(self) -> None:
        """Let the ledger be checked at each scrape."""
        from products import metrics  # noqa: PLC0415 - apps are loaded before models

        exposition.truths.add("stock", metrics.read_stock, every=30)
