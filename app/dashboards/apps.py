"""What staff look at to see how the shop is."""

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    name = "dashboards"

    def ready(self) -> None:
        """Declare the jobs."""
        from dashboards import tasks  # noqa: F401, PLC0415 - models first
