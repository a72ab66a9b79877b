"""The quality scenarios: what the shop promises, and whether it keeps it."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class QualityConfig(AppConfig):
    name = "quality"

    def ready(self) -> None:
        """Let the verdicts be read at each scrape."""
        from quality import selectors  # noqa: PLC0415 - models first

        exposition.database_gauges.add("quality", selectors.read_passing)
