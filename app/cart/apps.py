"""Shopping carts of customers and visitors."""

from django.apps import AppConfig


class CartConfig(AppConfig):
    name = "cart"

    def ready(self) -> None:
        """Register the jobs."""
        from cart import tasks  # noqa: F401, PLC0415 - apps are loaded before models
