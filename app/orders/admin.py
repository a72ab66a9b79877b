"""Orders and payments in the admin, read-only; orders can be dispatched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Q
from django.shortcuts import redirect

from orders.fulfilment import NotDispatchableError, sale_dispatch, to_dispatch
from orders.models import Payment, Sale, SaleItem
from retail.admin import ReadOnlyAdmin, ReadOnlyInline, recent

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import HttpRequest, HttpResponse

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
    fields = (
        *("key", "status", "failure_reason", "amount", "refund_reserved", "currency"),
        *("created_at", "settled_at"),
    )


class DispatchFilter(admin.SimpleListFilter):
    """Filters paid orders by what followed."""

    title = parameter_name = "dispatch"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("done", "Dispatched"), ("cancelled", "Cancelled instead")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Sale]) -> QuerySet[Sale]:
        if self.value() == "waiting":
            return queryset & to_dispatch()
        fields = {"done": "dispatched_at", "cancelled": "cancelled_at"}
        if (field := fields.get(self.value() or "")) is None:
            return queryset
        return queryset.filter(status=Sale.Status.CONFIRMED, **{f"{field}__isnull": False})


@admin.register(Sale)
class SaleAdmin(SaleSearchAdmin):
    change_form_template = "admin/orders/sale/change_form.html"
    list_display = ("reference", "user", "state", "kind", "total", "currency", "created_at")
    list_filter = ("status", DispatchFilter, "kind", recent("created_at"))
    actions = ("dispatch_orders",)
    list_select_related = ("user",)
    ordering = ("-pk",)  # newest first, using the primary key's index
    sortable_by = ()
    fields = (
        ("reference", "state", "status", "kind"),
        ("total", "currency"),
        "user",
        "delivery_name",
        "delivery_address",
        "email",
        ("created_at", "finished_at", "confirmation_sent_at"),
        ("dispatched_at", "cancelled_at"),
        ("request_id", "idempotency_key"),
    )
    readonly_fields = ("state",)
    inlines = (SaleItemInline, PaymentInline)

    @admin.display(description="state")
    def state(self, sale: Sale) -> str:
        return sale.state_label

    def has_dispatch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("orders.dispatch_sale")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        waiting = to_dispatch().filter(pk=context["original"].pk)
        context["may_dispatch"] = self.has_dispatch_permission(request) and waiting.exists()
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.action(description="Dispatch selected orders", permissions=["dispatch"])
    def dispatch_orders(
        self, request: HttpRequest, queryset: QuerySet[Sale]
    ) -> HttpResponse | None:
        assert request.user.pk is not None  # noqa: S101 - for the type checker; staff are logged in
        dispatched: list[str] = []
        for sale in queryset.order_by("pk"):
            try:
                if sale_dispatch(reference=sale.reference, user_id=request.user.pk):
                    dispatched.append(sale.reference)
                    self.log_change(request, sale, "Dispatched.")
                else:
                    text = f"{sale.reference} was dispatched before."
                    self.message_user(request, text, messages.WARNING)
            except NotDispatchableError as error:
                self.message_user(request, str(error), messages.ERROR)
        if dispatched:
            text = f"Dispatched, and the customer is notified: {', '.join(dispatched)}."
            self.message_user(request, text, messages.SUCCESS)
        if "back_to" not in request.POST:
            return None
        return redirect("admin:orders_sale_change", request.POST["_selected_action"])


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
    list_display = (
        *("sale", "status", "amount", "refund_reserved", "currency", "failure_reason"),
        "created_at",
    )
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
        ("amount", "refund_reserved", "currency"),
        "disputed_at",
        ("created_at", "sent_at", "settled_at", "due_at"),
    )

    def search(self, term: str) -> Q:
        return Q(key=term) if PAYMENT_KEY.fullmatch(term) else super().search(term)
