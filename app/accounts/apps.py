"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register the jobs and system checks."""
        from accounts import checks, tasks  # noqa: F401, PLC0415 - apps are loaded before models
