"""Customers."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Declare the jobs."""
        from accounts import tasks  # noqa: F401, PLC0415 - apps are loaded before models
