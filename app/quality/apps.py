"""The quality scenarios: what the shop promises, and whether it keeps it."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class QualityConfig(AppConfig):
    name = "quality"

    def ready(self) -> None:
        """Declare the job, and let the verdicts be read at each scrape."""
        from quality import selectors, tasks  # noqa: F401, PLC0415 - models first

        exposition.database_gauges.add("quality", selectors.read_passing)
