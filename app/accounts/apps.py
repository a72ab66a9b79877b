"""Customer accounts: registration, login, sessions, profiles."""

from django.apps import AppConfig

from retail.observability.prometheus.catalogue import THROTTLE_SCOPES


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Register the system checks, the throttled requests, and the times of failed log-ins."""
        from axes.models import AccessAttempt  # noqa: PLC0415 - apps are loaded before models

        from accounts import checks  # noqa: F401, PLC0415
        from retail.clocks import StoredTime, stored_times  # noqa: PLC0415

        stored_times.append(StoredTime(AccessAttempt.objects.all, "attempt_time"))
        THROTTLE_SCOPES.add("login", "password_reset")
