"""Orders and payments in the admin, read-only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q

from orders.models import Payment, Sale, SaleItem
from retail.admin import ReadOnlyAdmin, ReadOnlyInline, recent

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest

MAX_CUSTOMERS = 100
SEARCH_HELP = (
    "Search by full order reference or the beginning of a customer's username "
    f"(at most {MAX_CUSTOMERS} customers)."
)
PAYMENT_KEY = re.compile(r"[0-9a-f]{32}")


class SaleSearchAdmin(ReadOnlyAdmin):
    """Search by order reference or username, using indexes; `sale_lookup` leads to the sale."""

    sale_lookup = ""
    search_fields: ClassVar[tuple[str, ...]] = ("reference", "user__username")
    search_help_text = SEARCH_HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(self.search(term)) if term else queryset), False

    def search(self, term: str) -> Q:
        # Look up user ids first: an OR across two tables can use neither table's index.
        users = get_user_model().objects.filter(username__istartswith=term).order_by("username")
        user_ids = list(users.values_list("pk", flat=True)[:MAX_CUSTOMERS])
        of_user = Q(**{f"{self.sale_lookup}user__in": user_ids})
        return of_user | Q(**{f"{self.sale_lookup}reference": term.upper()})


class SaleItemInline(ReadOnlyInline):
    model = SaleItem
    fields = ("product", "product_name", "unit_price", "quantity", "line_total")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SaleItem]:
        return super().get_queryset(request).select_related("product")


class PaymentInline(ReadOnlyInline):
    model = Payment
    fields = ("key", "status", "failure_reason", "amount", "currency", "created_at", "settled_at")


@admin.register(Sale)
class SaleAdmin(SaleSearchAdmin):
    list_display = ("reference", "user", "status", "kind", "total", "currency", "created_at")
    list_filter = ("status", "kind", recent("created_at"))
    list_select_related = ("user",)
    ordering = ("-pk",)  # newest first, using the primary key's index
    sortable_by = ()
    fields = (
        ("reference", "status", "kind"),
        ("total", "currency"),
        "user",
        "delivery_name",
        "delivery_address",
        "email",
        ("created_at", "finished_at", "confirmation_sent_at"),
        ("request_id", "idempotency_key"),
    )
    inlines = (SaleItemInline, PaymentInline)


@admin.register(SaleItem)
class SaleItemAdmin(SaleSearchAdmin):
    sale_lookup = "sale__"
    list_display = ("sale", "product_name", "unit_price", "quantity", "line_total")
    list_select_related = ("sale",)
    search_fields = ("sale__reference", "sale__user__username")
    fields = ("sale", "product", "product_name", "unit_price", "quantity", "line_total")


@admin.register(Payment)
class PaymentAdmin(SaleSearchAdmin):
    """Payments without their token, which identifies the customer's card."""

    sale_lookup = "sale__"
    list_display = ("sale", "status", "amount", "currency", "failure_reason", "created_at")
    list_filter = ("status", "failure_reason", recent("created_at"))
    list_select_related = ("sale",)
    search_fields = ("sale__reference", "sale__user__username", "key")
    search_help_text = f"{SEARCH_HELP} Or by a payment's full key, as in the gateway's ledger."
    ordering = ("-pk",)  # newest first, using the primary key's index
    sortable_by = ()
    fields = (
        "sale",
        ("key", "gateway"),
        ("status", "failure_reason"),
        ("amount", "currency"),
        ("created_at", "sent_at", "settled_at", "due_at"),
    )

    def search(self, term: str) -> Q:
        return Q(key=term) if PAYMENT_KEY.fullmatch(term) else super().search(term)
