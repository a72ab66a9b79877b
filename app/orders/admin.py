"""Orders in the admin: to look at; money is not edited."""

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

CUSTOMERS = 100
HELP = (
    "The whole reference of an order, or the beginning of a customer's username "
    f"(of at most {CUSTOMERS} customers)."
)
PAYMENT_KEY = re.compile(r"[0-9a-f]{32}")


class OfSale(ReadOnlyAdmin):
    """Searches by what people say on the phone, each by its index; `to_sale` leads to the sale."""

    to_sale = ""
    search_fields: ClassVar[tuple[str, ...]] = ("reference", "user__username")
    search_help_text = HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(self.search(term)) if term else queryset), False

    def search(self, term: str) -> Q:
        # Their ids are looked up first: an OR over two tables would use the index of neither.
        users = get_user_model().objects.filter(username__istartswith=term).order_by("username")
        found = list(users.values_list("pk", flat=True)[:CUSTOMERS])
        of_user = Q(**{f"{self.to_sale}user__in": found})
        return of_user | Q(**{f"{self.to_sale}reference": term.upper()})


class SaleItemInline(ReadOnlyInline):
    model = SaleItem
    fields = ("product", "product_name", "unit_price", "quantity", "line_total")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SaleItem]:
        return super().get_queryset(request).select_related("product")


class PaymentInline(ReadOnlyInline):
    model = Payment
    fields = ("key", "status", "failure_reason", "amount", "currency", "created_at", "settled_at")


@admin.register(Sale)
class SaleAdmin(OfSale):
    list_display = ("reference", "user", "status", "kind", "total", "currency", "created_at")
    list_filter = ("status", "kind", recent("created_at"))
    list_select_related = ("user",)
    ordering = ("-pk",)  # the newest first, by an index that is there anyway
    sortable_by = ()
    fields = (
        ("reference", "status", "kind"),
        ("total", "currency"),
        "user",
        "delivery_name",
        "delivery_address",
        ("created_at", "finished_at", "confirmation_sent_at"),
        ("request_id", "idempotency_key"),
    )
    inlines = (SaleItemInline, PaymentInline)


@admin.register(SaleItem)
class SaleItemAdmin(OfSale):
    to_sale = "sale__"
    list_display = ("sale", "product_name", "unit_price", "quantity", "line_total")
    list_select_related = ("sale",)
    search_fields = ("sale__reference", "sale__user__username")
    fields = ("sale", "product", "product_name", "unit_price", "quantity", "line_total")


@admin.register(Payment)
class PaymentAdmin(OfSale):
    """The token is left out: it stands for the customer's card."""

    to_sale = "sale__"
    list_display = ("sale", "status", "amount", "currency", "failure_reason", "created_at")
    list_filter = ("status", "failure_reason", recent("created_at"))
    list_select_related = ("sale",)
    search_fields = ("sale__reference", "sale__user__username", "key")
    search_help_text = f"{HELP} Or a payment's whole key, as the gateway knows it."
    ordering = ("-pk",)  # the newest first, by an index that is there anyway
    sortable_by = ()
    fields = (
        "sale",
        "key",
        ("status", "failure_reason"),
        ("amount", "currency"),
        ("created_at", "settled_at", "due_at"),
    )

    def search(self, term: str) -> Q:
        return Q(key=term) if PAYMENT_KEY.fullmatch(term) else super().search(term)
