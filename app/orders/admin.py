"""Orders in the admin: to look at; money is not edited."""

from django.contrib import admin

from orders.models import Payment, Sale, SaleItem
from retail.admin import ReadOnlyAdmin


class SaleItemInline(admin.TabularInline):  # type: ignore[type-arg]
    model = SaleItem
    extra = 0
    can_delete = False
    readonly_fields = ("product", "product_name", "unit_price", "quantity")


@admin.register(Sale)
class SaleAdmin(ReadOnlyAdmin):
    list_display = ("reference", "user", "status", "kind", "total", "currency", "created_at")
    list_filter = ("status", "kind")
    list_select_related = ("user",)
    search_fields = ("reference",)
    show_full_result_count = False
    inlines = (SaleItemInline,)


@admin.register(SaleItem)
class SaleItemAdmin(ReadOnlyAdmin):
    list_display = ("sale", "product_name", "unit_price", "quantity")
    list_select_related = ("sale",)
    show_full_result_count = False


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = ("sale", "status", "amount", "currency", "failure_reason", "created_at")
    list_filter = ("status", "failure_reason")
    list_select_related = ("sale",)
    show_full_result_count = False
