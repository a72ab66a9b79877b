"""The catalogue in the admin. Stock changes only through movements with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from products.forms import ProductForm
from products.models import Category, HeldStock, Product, StockMovement
from products.selectors import matches, matching_keys
from products.services import stock_adjust
from retail.admin import ReadOnlyAdmin, recent

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.models import QuerySet
    from django.http import HttpRequest

DETAILS = (None, {"fields": ("name", "slug", "category", "description", "image", "is_active")})
PRICE = ("Price", {"fields": (("price", "currency"),)})
FLASH_SALE = (
    "Flash sale",
    {
        "fields": ("flash_price", "flash_starts_at", "flash_ends_at"),
        "description": "Fill in all three fields or none.",
    },
)
STOCK = ("Stock", {"fields": ("stock", "movements")})
CHANGE_STOCK = (
    "Change stock",
    {"fields": ("stock_difference", "stock_reason", "stock_change_seen")},
)


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "slug")
    search_fields = ("name",)
    prepopulated_fields = {"slug": ("name",)}


class FlashSaleFilter(admin.SimpleListFilter):
    """Filter products by whether their flash sale is active, upcoming or ended."""

    title = "flash sale"
    parameter_name = "flash"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("now", "Active"), ("coming", "Upcoming"), ("over", "Ended"), ("none", "None")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Product]
    ) -> QuerySet[Product] | None:
        now = timezone.now()
        conditions = {
            "now": Q(flash_starts_at__lte=now, flash_ends_at__gt=now),
            "coming": Q(flash_starts_at__gt=now),
            "over": Q(flash_ends_at__lte=now),
            "none": Q(flash_price__isnull=True),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ProductForm
    list_display = (
        *("name", "category", "price", "currency", "stock"),
        *("flash_price", "on_flash_sale", "is_active"),
    )
    list_filter = ("category", "is_active", FlashSaleFilter)
    list_select_related = ("category",)
    search_fields = ("name", "slug")
    search_help_text = "Search by words of the name or description, or by part of the slug."
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("stock", "movements", "currency")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Product], search_term: str
    ) -> tuple[QuerySet[Product], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        return queryset.filter(matches(term) | Q(slug__icontains=term)), False

    @admin.display(boolean=True, description="on flash sale")
    def on_flash_sale(self, product: Product) -> bool:
        return product.flash_active

    @admin.display(description="ledger")
    def movements(self, product: Product) -> str:
        url = reverse("admin:products_stockmovement_changelist")
        return format_html(
            '<a href="{}?product__id__exact={}">Stock movements</a>', url, product.pk
        )

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        # A product with movements keeps its ledger; hide it instead. Without `obj`, Django asks
        # about the bulk delete action, which is not offered.
        deletable = obj is not None and not obj.movements.exists()
        return deletable and super().has_delete_permission(request, obj)

    def get_fieldsets(self, request: HttpRequest, obj: Product | None = None) -> Any:
        if obj is None:
            return [DETAILS, PRICE, FLASH_SALE, ("Stock", CHANGE_STOCK[1])]
        if not self.has_change_permission(request, obj):
            return [DETAILS, PRICE, FLASH_SALE, STOCK]
        return [DETAILS, PRICE, FLASH_SALE, STOCK, CHANGE_STOCK]

    def get_form(
        self, request: HttpRequest, obj: Product | None = None, change: bool = False, **kwargs: Any
    ) -> type[ProductForm]:
        form: type[ProductForm] = super().get_form(request, obj, change, **kwargs)  # type: ignore[assignment]
        form.staff = request.user.get_username()  # get_form creates a class for each request
        return form

    def save_model(
        self, request: HttpRequest, obj: Product, form: ProductForm, change: bool
    ) -> None:
        # Save only the form's fields: a sale may have changed the stock since the row was read.
        fields = obj._meta.concrete_fields  # noqa: SLF001 - documented API
        edited = [field.name for field in fields if field.name in form.cleaned_data]
        obj.save(update_fields=edited if change else None)
        if difference := form.cleaned_data["stock_difference"]:
            after = stock_adjust(
                product_id=obj.pk,
                difference=difference,
                reason=StockMovement.Reason.ADMIN,
                reference=form.stock_reference(),
            )
            text = f"Stock of {obj}: {after - difference} → {after} ({difference:+d})."
            messages.success(request, text)


@admin.register(StockMovement)
class StockMovementAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "product", "quantity", "reason", "reference")
    list_filter = ("reason", recent("created_at"))
    list_select_related = ("product",)
    ordering = ("-pk",)  # newest first, using the primary key's index
    sortable_by = ()
    search_fields = ("reference", "product__name")
    search_help_text = "Search by full reference (such as an order's) or words of a product."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StockMovement], search_term: str
    ) -> tuple[QuerySet[StockMovement], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        # Look up product ids first: an OR across two tables can use neither table's index.
        keys = matching_keys(Product.objects.all(), term).order_by("pk")
        product_ids = list(keys[:100])
        return queryset.filter(Q(reference=term) | Q(product__in=product_ids)), False


@admin.register(HeldStock)
class HeldStockAdmin(ReadOnlyAdmin):
    """Units that go on sale when a flash sale ends."""

    list_display = ("created_at", "product", "quantity", "reason", "reference", "flash_ends_at")
    list_select_related = ("product",)
    search_fields = ("=reference",)
    search_help_text = "Search by full reference: an order's or a return's."

    @admin.display(description="on sale from")
    def flash_ends_at(self, held: HeldStock) -> datetime | None:
        return held.product.flash_ends_at
