"""Quality scenarios: the shop's quality objectives and whether it meets them."""

from django.apps import AppConfig

from retail.observability.prometheus import exposition


class QualityConfig(AppConfig):
    name = "quality"

    def ready(self) -> None:
        """Register the gauge that exports the verdicts."""
        from quality import selectors  # noqa: PLC0415 - models first

        exposition.database_gauges.add("quality", selectors.read_passing)
