"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig, apps

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register checks, e-mails, groups, throttles, and what a log-in remembers."""
        from axes.models import AccessAttempt  # noqa: PLC0415 - apps are loaded before models
        from django.contrib.auth.signals import user_logged_in  # noqa: PLC0415 - the same

        from django.db.models.signals import post_migrate  # noqa: PLC0415 - the same

        from accounts import checks, emails, roles  # noqa: F401, PLC0415
        from retail.clocks import StoredTime, stored_times  # noqa: PLC0415
        from retail.web.forms_before_login import remember_token  # noqa: PLC0415

        user_logged_in.connect(remember_token)
        # Of the app that is migrated last: then the permissions of all others exist.
        last = [app for app in apps.get_app_configs() if app.models_module][-1]
        post_migrate.connect(roles.create_groups, sender=last)
        stored_times.append(StoredTime(AccessAttempt.objects.all, "attempt_time"))
        THROTTLE_SCOPES.add("login", "password_reset")
