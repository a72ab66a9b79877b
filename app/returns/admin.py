"""Returns and refunds in the admin, read-only: staff work on them on the desk."""

from __future__ import annotations

import re

from django.contrib import admin
from django.db.models import Q

from orders.admin import SEARCH_HELP, SaleSearchAdmin
from retail.admin import ReadOnlyInline, recent
from returns.models import Refund, Return, ReturnItem

_KEY = re.compile(r"[0-9a-f]{32}")


class ReturnItemInline(ReadOnlyInline):
    model = ReturnItem
    fields = ("sale_item", "requested", "approved", "sellable", "damaged", "lost", "value")


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = ("reference", "status", "failure", "amount", "currency", "created_at", "settled_at")


@admin.register(Return)
class ReturnAdmin(SaleSearchAdmin):
    sale_lookup = "sale__"
    list_display = ("reference", "sale", "status", "reason", "requested_at", "ended_at")
    list_filter = ("status", "reason", recent("requested_at"))
    list_select_related = ("sale",)
    search_fields = ("reference", "sale__reference", "sale__user__username")
    search_help_text = f"{SEARCH_HELP} Or by a return's reference."
    fields = (
        ("reference", "sale"),
        ("status", "reason"),
        ("note", "answer"),
        ("requested_at", "decided_at", "received_at", "ended_at"),
    )
    inlines = (ReturnItemInline, RefundInline)

    def search(self, term: str) -> Q:
        reference = term.upper()
        return Q(reference=reference) if reference.startswith("RT-") else super().search(term)


@admin.register(Refund)
class RefundAdmin(SaleSearchAdmin):
    sale_lookup = "payment__sale__"
    list_display = (
        *("reference", "order", "status", "failure", "amount", "currency", "reason"),
        *("created_at", "settled_at"),
    )
    list_filter = ("status", "failure", "reason", recent("created_at"))
    list_select_related = ("payment__sale",)
    search_fields = ("reference", "payment__sale__reference", "payment__sale__user__username")
    search_help_text = f"{SEARCH_HELP} Or by a refund's reference or full key."
    fields = (
        ("reference", "key"),
        ("payment", "of_return", "replaces"),
        ("status", "failure", "method"),
        ("amount", "currency", "reason"),
        "message",
        ("requested_by", "attempts", "request_id"),
        ("created_at", "first_sent_at", "due_at", "settled_at"),
    )

    @admin.display(description="order")
    def order(self, refund: Refund) -> str:
        """Return the reference of the refund's order."""
        return refund.payment.sale.reference

    def search(self, term: str) -> Q:
        if _KEY.fullmatch(term):
            return Q(key=term)
        reference = term.upper()
        return Q(reference=reference) if reference.startswith("RF-") else super().search(term)
