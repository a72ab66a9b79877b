"""Shopping carts of customers and visitors."""

from django.apps import AppConfig


class CartConfig(AppConfig):
    name = "cart"

    def ready(self) -> None:
        """Let carts be locked before their users are deleted."""
        from accounts import services as accounts  # noqa: PLC0415 - apps are loaded before models
        from cart import services  # noqa: PLC0415

        accounts.locks_before_deletion.append(services.carts_lock)
