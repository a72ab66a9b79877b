"""The admin's ground rules, and metrics in it: to look at, not to change."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import F
from django.utils import timezone
from django.utils.functional import cached_property
from django_q import admin as queue_admin
from django_q.models import Schedule

from retail.models import AuditCheck, AuditViolation, Metric, MetricRollup, WorkerHeartbeat
from retail.observability.prometheus import catalogue
from retail.observability.rows.recorder import METRIC_TYPES

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

SPANS = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
}
# An offset is walked row by row, and a database knows no offset beyond 64 bits.
LAST_PAGE = 100_000

admin.site.site_header = admin.site.site_title = settings.SHOP_NAME


class UncountedPaginator(Paginator):  # type: ignore[type-arg]
    """Looks whether there is a row beyond page `here` instead of counting all rows.

    `count` is exact on the last page; before it, it is the rows up to here and one more.
    """

    def __init__(self, rows: QuerySet[Any], per_page: int, here: int) -> None:
        super().__init__(rows, per_page)
        self.rows = rows
        self.here = min(max(here, 1), LAST_PAGE)

    @cached_property
    def count(self) -> int:
        """How many rows there are at least."""
        start = (self.here - 1) * self.per_page
        keys = self.rows.values_list("pk", flat=True)
        found = len(keys[start : start + self.per_page + 1])
        if found or not start:
            return start + found
        self.here = 1  # nobody's page: the admin will say so, or show the only page there is
        return len(keys[: self.per_page + 1])

    @property
    def seen(self) -> int:
        """How many rows there are up to the end of this page."""
        return min(self.count, self.here * self.per_page)

    @property
    def previous(self) -> int | None:
        """The page before this one."""
        return self.here - 1 if self.here > 1 else None

    @property
    def next(self) -> int | None:
        """The page after this one."""
        return self.here + 1 if self.count > self.here * self.per_page else None


class ReadOnly:
    """Refuses everybody everything but looking."""

    def has_add_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Shows rows that belong to the one on the page."""

    extra = 0
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: object | None = None) -> Any:
        return self.fields


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows that the shop writes by itself, a million of them as fast as ten.

    So nothing counts them, and columns without an index offer no sorting.
    """

    change_list_template = "admin/uncounted_list.html"
    list_max_show_all = 0
    ordering = ("-pk",)
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        per_page: int,
        *args: Any,
        **kwargs: Any,
    ) -> UncountedPaginator:
        page = request.GET.get(PAGE_VAR, "")
        here = int(page) if page.isdecimal() and len(page) <= len(str(LAST_PAGE)) else 1
        return UncountedPaginator(queryset, per_page, here)


def recent(field: str) -> type[admin.SimpleListFilter]:
    """Return a filter by how long ago `field` was."""

    class Recent(admin.SimpleListFilter):
        title = "time"
        parameter_name = "last"

        def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
            return [(key, label) for key, (label, _) in SPANS.items()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            if (span := SPANS.get(self.value() or "")) is None:
                return queryset
            return queryset.filter(**{f"{field}__gte": timezone.now() - span[1]})

    return Recent


class MetricTypeFilter(admin.SimpleListFilter):
    """By type, from the closed set: nobody looks through the table for what types there are."""

    title = "metric type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(name, name) for name in METRIC_TYPES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(metric_type=self.value()) if self.value() else queryset


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ("timestamp", "metric_type", "value", "metadata")
    list_filter = (MetricTypeFilter, recent("timestamp"))
    ordering = ("-timestamp",)
    sortable_by = ("timestamp",)


@admin.register(MetricRollup)
class MetricRollupAdmin(ReadOnlyAdmin):
    list_display = ("start", "period", "metric_type", "count", "total", "minimum", "maximum")
    list_filter = (MetricTypeFilter, "period", recent("start"))
    ordering = ("-start",)


class InvariantFilter(admin.SimpleListFilter):
    """By promise, from the closed set."""

    title = parameter_name = "invariant"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(name, name) for name in catalogue.INVARIANTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(invariant=self.value()) if self.value() else queryset


@admin.register(AuditCheck)
class AuditCheckAdmin(ReadOnlyAdmin):
    list_display = ("invariant", "violations", "checked_at", "checked", "full_checked_at")
    exclude = ("checkpoint", "full_checkpoint")  # sums of many products, perhaps
    ordering = ("invariant",)


@admin.register(AuditViolation)
class AuditViolationAdmin(ReadOnlyAdmin):
    list_display = ("invariant", "subject", "detail", "amount", "found_at", "resolved_at")
    list_filter = (InvariantFilter, recent("found_at"))

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("resolved_at").desc(nulls_first=True), "-pk"]  # the open ones first


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("worker", "seen_at")
    list_filter = (recent("seen_at"),)
    ordering = ("-seen_at",)


# A schedule names any function to be called with any arguments: who could write one in the admin
# could run what they like. The worker makes the shop's own.
admin.site.unregister(queue_admin.Schedule)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ("name", "func", "schedule_type", "minutes", "next_run")
    ordering = ("name",)
