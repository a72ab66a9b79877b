"""App configuration of the shared layer below all other apps."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from retail.observability.middleware import ObservabilityMiddleware
from retail.observability.prometheus import catalogue, exposition
from retail.observability.rows.recorder import recorder


class RetailConfig(AppConfig):
    name = "retail"
    verbose_name = "Retail (Observability)"

    def ready(self) -> None:
        """Connect the recorder to the database; import what each app registers in its modules."""
        from django.conf import settings  # noqa: PLC0415 - apps are loaded before models
        from django.db import connections  # noqa: PLC0415

        from retail import clocks, jobs, models  # noqa: PLC0415
        from retail.audit import results  # noqa: PLC0415
        from retail.backup import health as backups  # noqa: PLC0415
        from retail.db import checks  # noqa: F401, PLC0415
        from retail.history import rollups  # noqa: PLC0415
        from retail.mail import outbox  # noqa: PLC0415
        from retail.security import signals  # noqa: PLC0415
        from retail.web import access, client, health, probes, proxy_log, routes  # noqa: F401, PLC0415

        autodiscover_modules("metrics", "tasks", "personal")
        signals.connect()
        ObservabilityMiddleware.static_url = settings.STATIC_URL
        ObservabilityMiddleware.probes = frozenset(probes.PROBES)
        ObservabilityMiddleware.match_of = staticmethod(routes.match_of)
        ObservabilityMiddleware.views = staticmethod(routes.views)
        ObservabilityMiddleware.ids_of = staticmethod(access.request_ids)
        ObservabilityMiddleware.since_arrival = staticmethod(client.seconds_since_arrival)
        ObservabilityMiddleware.client_of = staticmethod(client.client_address)
        recorder.writer = rollups.write_rows
        recorder.flush_seconds = settings.METRIC_FLUSH_SECONDS
        exposition.database_gauges.refresh.release = connections.close_all
        exposition.database_gauges.add("queue", jobs.read_queue)
        exposition.database_gauges.add("jobs", jobs.read_successes)
        exposition.database_gauges.add("emails", outbox.read_waiting)
        exposition.database_gauges.add("backups", backups.read_backups)
        jobs.pollers += [outbox.send_next] * outbox.SENDERS
        jobs.pollers.append(proxy_log.count_answers)
        exposition.database_gauges.add("audit", results.read_audit)
        for field in ("checked_at", "full_checked_at"):
            clocks.stored_times.append(clocks.StoredTime(models.AuditCheck.objects.all, field))
        clocks.stored_times.append(clocks.StoredTime(outbox.waiting, "due_at", outbox.longest_wait))
        clocks.stored_times.append(clocks.StoredTime(outbox.untried, "due_at"))
        clocks.stored_times.append(clocks.StoredTime(models.Backup.objects.all, "taken_at"))
        catalogue.BUILD_INFO.set(1, version=settings.VERSION)
