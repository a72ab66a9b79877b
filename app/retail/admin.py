"""Base classes for the admin, and read-only lists of metrics, audits and workers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import F
from django.utils import timezone
from django.utils.functional import cached_property
from django_q import admin as queue_admin
from django_q.models import Schedule

from retail.mail import outbox
from retail.models import (
    AuditCheck,
    AuditViolation,
    Email,
    Metric,
    MetricRollup,
    SecurityEvent,
    WorkerHeartbeat,
)
from retail.observability.prometheus import catalogue
from retail.observability.rows.types import METRIC_TYPES

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

PERIODS = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
}
# An OFFSET reads and skips every row before it, and has at most 64 bits.
LAST_PAGE = 100_000

admin.site.site_header = admin.site.site_title = settings.SHOP_NAME


class UncountedPaginator(Paginator):  # type: ignore[type-arg]
    """Checks for one row beyond page `here` instead of counting all rows.

    On the last page, `count` is exact; on earlier pages, it is the rows up to this page plus one.
    """

    def __init__(self, rows: QuerySet[Any], per_page: int, here: int) -> None:
        super().__init__(rows, per_page)
        self.rows = rows
        self.here = min(max(here, 1), LAST_PAGE)

    @cached_property
    def count(self) -> int:
        """Return a lower bound for the number of rows."""
        start = (self.here - 1) * self.per_page
        keys = self.rows.values_list("pk", flat=True)
        on_page = len(keys[start : start + self.per_page + 1])
        if on_page or not start:
            return start + on_page
        self.here = 1  # no such page: the admin redirects, or shows the only page
        return len(keys[: self.per_page + 1])

    @property
    def seen(self) -> int:
        """The number of rows up to the end of this page."""
        return min(self.count, self.here * self.per_page)

    @property
    def previous(self) -> int | None:
        """The previous page number."""
        return self.here - 1 if self.here > 1 else None

    @property
    def next(self) -> int | None:
        """The next page number."""
        return self.here + 1 if self.count > self.here * self.per_page else None


class ReadOnly:
    """Denies every permission except view."""

    def has_add_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object | None = None) -> bool:
        return False


class ReadOnlyInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """Lists related rows, read-only."""

    extra = 0
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: object | None = None) -> Any:
        return self.fields


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists rows that only the shop writes; a million load as fast as ten.

    Nothing counts the rows, and only indexed columns can be sorted.
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
    """Return a filter for rows whose `field` lies in the last hour, day or week."""

    class Recent(admin.SimpleListFilter):
        title = "time"
        parameter_name = "last"

        def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
            return [(key, label) for key, (label, _) in PERIODS.items()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            if (period := PERIODS.get(self.value() or "")) is None:
                return queryset
            return queryset.filter(**{f"{field}__gte": timezone.now() - period[1]})

    return Recent


class MetricTypeFilter(admin.SimpleListFilter):
    """Filters by metric type. The choices come from METRIC_TYPES, not from a query."""

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
    """Filters by invariant. The choices are the declared invariants."""

    title = parameter_name = "invariant"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(name, name) for name in catalogue.INVARIANTS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(invariant=self.value()) if self.value() else queryset


@admin.register(AuditCheck)
class AuditCheckAdmin(ReadOnlyAdmin):
    list_display = ("invariant", "violations", "checked_at", "checked", "full_checked_at")
    exclude = ("checkpoint", "full_checkpoint")  # may be large
    ordering = ("invariant",)


@admin.register(AuditViolation)
class AuditViolationAdmin(ReadOnlyAdmin):
    list_display = ("invariant", "subject", "detail", "amount", "found_at", "resolved_at")
    list_filter = (InvariantFilter, recent("found_at"))

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        return [F("resolved_at").desc(nulls_first=True), "-pk"]  # open violations first


@admin.register(WorkerHeartbeat)
class WorkerHeartbeatAdmin(ReadOnlyAdmin):
    list_display = ("worker", "seen_at")
    list_filter = (recent("seen_at"),)
    ordering = ("-seen_at",)


@admin.register(Email)
class EmailAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "about", "state", "attempts", "last_error", "due_at")
    list_filter = ("state", recent("created_at"))
    search_fields = ("=about",)
    search_help_text = "Search by what it is about: an order's reference or a user's id."
    actions = ("send_again",)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("retail.change_email")

    @admin.action(description="Send again what was not accepted", permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Email]) -> None:
        count = outbox.send_again(queryset)
        self.message_user(request, f"E-mails that will be sent again: {count}.", messages.SUCCESS)


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "event", "outcome", "user_id", "client", "subject", "detail")
    list_filter = ("event", "outcome", recent("at"))
    search_fields = ("user_id__exact", "=client", "=subject", "=request_id")
    search_help_text = "Search by a user's id, a client's address, a subject or a request id."


# A schedule can call any function with any arguments, so anyone who may edit schedules in the admin
# could run any code. Only the worker creates them.
admin.site.unregister(queue_admin.Schedule)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ("name", "func", "schedule_type", "minutes", "next_run")
    ordering = ("name",)
