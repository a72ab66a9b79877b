"""On-call: alerts received from Alertmanager, and runbooks."""

from django.apps import AppConfig


class OncallConfig(AppConfig):
    name = "oncall"
    verbose_name = "On-call"

    def ready(self) -> None:
        """Register the health checks."""
        from oncall import health  # noqa: F401, PLC0415 - models first
