"""Customers."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Declare the jobs and the checks."""
        from accounts import checks, tasks  # noqa: F401, PLC0415 - apps are loaded before models
