"""The ground floor of the shop."""

from django.apps import AppConfig

from retail.observability import catalogue, exposition
from retail.observability.middleware import ObservabilityMiddleware
from retail.observability.recording import recorder


class RetailConfig(AppConfig):
    name = "retail"
    verbose_name = "Retail (Observability)"

    def ready(self) -> None:
        """Connect the recording of metrics with the database, and declare the jobs."""
        from django.conf import settings  # noqa: PLC0415 - apps are loaded before models

        from retail import audit, jobs, store, tasks  # noqa: F401, PLC0415

        ObservabilityMiddleware.static_url = settings.STATIC_URL
        recorder.writer = store.write_rows
        recorder.flush_seconds = settings.METRIC_FLUSH_SECONDS
        exposition.truths.add("queue", jobs.read_queue)
        exposition.truths.add("audit", audit.read_audit)
        catalogue.BUILD_INFO.set(1, version=settings.VERSION)
