"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig, apps

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register checks, e-mails, groups, throttles, and what a log-in remembers."""
        from django.contrib.auth.signals import user_logged_in  # noqa: PLC0415 - apps come first
        from django.db.models.signals import post_migrate  # noqa: PLC0415 - the same

        from accounts import (  # noqa: PLC0415
            address_emails,  # noqa: F401
            checks,  # noqa: F401
            emails,  # noqa: F401
            guessing,
            hashers,
            roles,
            second_factor,
        )
        from accounts.factor_gate import ask_for_factor  # noqa: PLC0415
        from accounts.known_browsers import remember_browser  # noqa: PLC0415
        from accounts.last_seen import remember_log_in  # noqa: PLC0415
        from retail.web.forms_before_login import remember_token  # noqa: PLC0415

        user_logged_in.connect(remember_token)
        user_logged_in.connect(remember_browser)
        user_logged_in.connect(remember_log_in)
        user_logged_in.connect(ask_for_factor)
        # Of the app that is migrated last: then the permissions of all others exist.
        last = [app for app in apps.get_app_configs() if app.models_module][-1]
        post_migrate.connect(roles.create_groups, sender=last)
        THROTTLE_SCOPES.add(
            *(guessing.SCOPE, hashers.SCOPE, second_factor.SCOPE),
            *("password_reset", "register", "confirm_email"),
        )
