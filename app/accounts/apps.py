"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register the system checks, the throttled requests and what a log-in remembers."""
        from django.contrib.auth.signals import user_logged_in  # noqa: PLC0415 - as below

        from accounts import checks  # noqa: F401, PLC0415 - apps are loaded before models
        from retail.web.stale_forms import remember_token  # noqa: PLC0415 - the same

        user_logged_in.connect(remember_token)

        THROTTLE_SCOPES.add("login", "password_reset")
