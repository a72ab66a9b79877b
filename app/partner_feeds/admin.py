"""Partners in the admin, and what became of their files, read-only."""

from __future__ import annotations

from django.contrib import admin

from partner_feeds.models import Ingestion, Partner, RejectedRow
from retail.admin import ReadOnlyAdmin, recent


@admin.register(Partner)
class PartnerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug", "format", "mapping", "is_active")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Ingestion)
class IngestionAdmin(ReadOnlyAdmin):
    list_display = (
        *("reference", "partner", "status", "rows", "created", "updated", "unchanged", "rejected"),
        "created_at",
    )
    list_filter = ("status", "partner", recent("created_at"))
    list_select_related = ("partner",)
    search_fields = ("reference",)


@admin.register(RejectedRow)
class RejectedRowAdmin(ReadOnlyAdmin):
    list_display = ("ingestion", "line", "code", "sentence")
    list_filter = ("code",)
    list_select_related = ("ingestion",)
    search_fields = ("ingestion__reference",)
