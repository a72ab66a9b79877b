"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register the system checks, the e-mails and the throttled requests."""
        from accounts import checks, emails  # noqa: F401, PLC0415 - apps are loaded before models

        THROTTLE_SCOPES.add("login", "password_reset")
