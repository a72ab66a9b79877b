"""The product catalogue and the stock ledger."""

from django.apps import AppConfig


class ProductsConfig(AppConfig):
    name = "products"

    def ready(self) -> None:
        """Register the stock's invariants and the system check of prices."""
        from products import audit, checks  # noqa: F401, PLC0415 - apps are loaded before models
