"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register checks, e-mails, throttles, and what a log-in remembers."""
        from django.contrib.auth.signals import user_logged_in  # noqa: PLC0415 - apps come first

        from accounts import checks, emails, guessing, hashers  # noqa: F401, PLC0415
        from accounts.known_browsers import remember_browser  # noqa: PLC0415
        from retail.web.forms_before_login import remember_token  # noqa: PLC0415

        user_logged_in.connect(remember_token)
        user_logged_in.connect(remember_browser)
        THROTTLE_SCOPES.add(guessing.SCOPE, hashers.SCOPE, "password_reset", "register")
