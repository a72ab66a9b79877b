"""Metrics in the admin: to look at, not to change."""

from django.contrib import admin
from django.http import HttpRequest

from retail.models import Metric, MetricRollup, WorkerHeartbeat


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows that the shop writes by itself."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ("timestamp", "metric_type", "value", "metadata")
    list_filter = ("metric_type", "timestamp")
    ordering = ("-timestamp",)
    show_full_result_count = False


@admin.register(MetricRollup)
class MetricRollupAdmin(ReadOnlyAdmin):
    list_display = ("start", "period", "metric_type", "count", "total", "minimum", "maximum")
    list_filter = ("period", "metric_type")
    ordering = ("-start",)
    show_full_result_count = False


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("worker", "seen_at")
