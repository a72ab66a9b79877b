"""Partners in the admin, and what became of their files, read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.forms import Select
from django.urls import reverse

from partner_feeds.models import Ingestion, Partner, RejectedRow
from partner_feeds.reading.formats import names as formats
from partner_feeds.reading.mappings import MAPPINGS
from partner_feeds.reading.options import ENCODINGS
from retail.admin import ReadOnlyAdmin, recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import Field
    from django.http import HttpRequest


def _choices() -> dict[str, list[tuple[str, str]]]:
    """Return the values that some settings may have, with labels. The model refuses others."""
    return {
        "format": [(name, name) for name in formats()],
        "mapping": [(name, name) for name in sorted(MAPPINGS)],
        "encoding": [("", "UTF-8, or as an XML file says"), *((name, name) for name in ENCODINGS)],
        "decimal_sign": [(".", "point: 1234.50"), (",", "comma: 1234,50")],
    }


_LABELS = {
    "is_active": "Active",
    "mapping": "What the columns are",
    "columns": "Own names of columns",
    "ignore_case": "Keys ignore case",
    "negative_stock_is_zero": "A stock below 0 counts as 0",
    "absent": "If a product is not in a file",
    "allow_http": "Allow http://",
    "fetch_every_minutes": "Fetched every … minutes",
    "fresh_within_minutes": "Promised every … minutes",
}


@admin.register(Partner)
class PartnerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug", "format", "mapping", "is_active")
    search_fields = ("name", "slug")
    search_help_text = "Search by part of the name or slug."
    fieldsets = (
        (None, {"fields": ("name", "slug", "is_active", "category")}),
        (
            "How its files are written",
            {
                "fields": (
                    *("format", "mapping", "columns", "encoding", "delimiter", "decimal_sign"),
                    "currency_symbol",
                )
            },
        ),
        (
            "What its rows mean",
            {"fields": ("absent", "ignore_case", "negative_stock_is_zero")},
        ),
        (
            "How its files arrive",
            {
                "fields": ("address", "allow_http", "fetch_every_minutes", "fresh_within_minutes"),
                "description": "Staff can always upload a file on the desk.",
            },
        ),
        (
            "When a file is refused",
            {"fields": ("most_rows", "most_megabytes"), "classes": ("collapse",)},
        ),
        (
            "When a file is held until staff decide",
            {
                "fields": (
                    *("most_rejects_ratio", "most_repriced_ratio", "most_price_factor"),
                    *("most_sold_out_ratio", "least_rows_ratio"),
                ),
                "classes": ("collapse",),
            },
        ),
    )

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        if choices := _choices().get(db_field.name):
            kwargs["widget"] = Select(choices=choices)
        if label := _LABELS.get(db_field.name):
            kwargs["label"] = label
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def view_on_site(self, obj: Partner) -> str:
        return reverse("partner_feeds:desk_partner", args=[obj.slug])

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
