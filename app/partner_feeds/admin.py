"""Partners in the admin, and what became of their files, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from partner_feeds.models import Ingestion, Partner, RejectedRow
from retail.admin import ReadOnlyAdmin, recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.http import HttpRequest


@admin.register(Partner)
class PartnerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug", "format", "mapping", "is_active")
    search_fields = ("name", "slug")
    search_help_text = "Search by part of the name or slug."

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Partner | None = None
    ) -> dict[str, Sequence[str]]:
        return {} if obj else {"slug": ("name",)}

    def get_readonly_fields(
        self, request: HttpRequest, obj: Partner | None = None
    ) -> tuple[str, ...]:
        return ("slug",) if obj else ()  # its products have it


@admin.register(Ingestion)
class IngestionAdmin(ReadOnlyAdmin):
    list_display = (
        *("reference", "partner", "status", "rows", "created", "updated", "unchanged", "rejected"),
        "created_at",
    )
    list_filter = ("status", "partner", recent("created_at"))
    list_select_related = ("partner",)
    search_fields = ("reference",)
    search_help_text = "Search by part of a file's reference."


@admin.register(RejectedRow)
class RejectedRowAdmin(ReadOnlyAdmin):
    list_display = ("ingestion", "line", "code", "sentence")
    list_filter = ("code",)
    list_select_related = ("ingestion",)
    search_fields = ("ingestion__reference",)
    search_help_text = "Search by part of a file's reference."
