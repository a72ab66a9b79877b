"""The catalogue and the stock."""

from django.apps import AppConfig


class ProductsConfig(AppConfig):
    name = "products"

    def ready(self) -> None:
        """Declare the stock's invariants."""
        from products import audit  # noqa: F401, PLC0415 - apps are loaded before models
