"""The catalogue and the stock ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from products.search import SearchedModel, SearchedQuerySet, SearchTextField

if TYPE_CHECKING:
    from decimal import Decimal

LOW_STOCK = 5


def default_currency() -> str:
    """Return the shop's currency."""
    return settings.CURRENCY


class Category(models.Model):
    """A category of products."""

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(max_length=60, unique=True)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name


class Product(SearchedModel):
    """A product. Only `products.services` changes `stock`, always with a movement."""

    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    search_text = SearchTextField()
    image = models.CharField(
        max_length=200, default="products/placeholder.svg", help_text="path of a static file"
    )
    price = models.DecimalField(max_digits=10, decimal_places=2)
    currency = models.CharField(max_length=3, default=default_currency, editable=False)
    stock = models.IntegerField(default=0, editable=False)
    is_active = models.BooleanField(default=True, help_text="shown in the shop")
    flash_price = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    flash_starts_at = models.DateTimeField(null=True, blank=True)
    flash_ends_at = models.DateTimeField(null=True, blank=True)
    source = models.SlugField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        db_index=False,
        editable=False,
        help_text="partner whose feed has it; empty: the shop's own",
    )
    sku = models.CharField(  # noqa: DJ001 - products without a key are not each other's duplicates
        max_length=64, null=True, editable=False, help_text="the partner's key"
    )
    ean = models.CharField(max_length=14, blank=True, default="", db_default="", editable=False)
    source_stock = models.IntegerField(
        null=True, editable=False, help_text="units that the partner said it has"
    )
    source_offered = models.BooleanField(
        null=True, editable=False, help_text="whether the partner said it offers it"
    )

    objects = SearchedQuerySet["Product"].as_manager()

    class Meta:
        ordering: ClassVar = ["name"]
        indexes: ClassVar = [
            # Not (is_active, name, …): SQLite does not use that for a bare `WHERE is_active`.
            models.Index(
                fields=["name", "id"], name="product_by_name", condition=Q(is_active=True)
            ),
            models.Index(
                fields=["category", "name"], name="product_shelf", condition=Q(is_active=True)
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "sku"], name="product_of_partner_once"),
            models.CheckConstraint(condition=Q(stock__gte=0), name="product_stock_not_negative"),
            models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative"),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(price__gt=0),
                name="product_on_sale_has_a_price",
                violation_error_message="A product on sale must cost something.",
            ),
            models.CheckConstraint(
                condition=Q(flash_price__isnull=True)
                | Q(flash_price__gt=0, flash_price__lte=F("price")),
                name="product_flash_price_between_zero_and_price",
            ),
            models.CheckConstraint(
                condition=Q(
                    flash_price__isnull=True,
                    flash_starts_at__isnull=True,
                    flash_ends_at__isnull=True,
                )
                | Q(
                    flash_price__isnull=False,
                    flash_starts_at__isnull=False,
                    flash_ends_at__isnull=False,
                    flash_ends_at__gt=F("flash_starts_at"),
                ),
                name="product_flash_sale_whole_or_none",
                violation_error_message=(
                    "A flash sale needs its price, a start, and an end after the start."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def flash_active(self) -> bool:
        """Whether the flash sale is active now."""
        if self.flash_price is None or self.flash_starts_at is None or self.flash_ends_at is None:
            return False
        return self.flash_starts_at <= timezone.now() < self.flash_ends_at

    @property
    def current_price(self) -> Decimal:
        """Unit price now, in `currency`."""
        if self.flash_active and self.flash_price is not None:
            return self.flash_price
        return self.price

    @property
    def sold_out(self) -> bool:
        """Whether no units are left."""
        return self.stock <= 0

    @property
    def low_stock(self) -> bool:
        """Whether few units are left (LOW_STOCK or fewer)."""
        return 0 < self.stock <= LOW_STOCK


class StockMovement(models.Model):
    """A change of a product's stock. The sum of a product's movements is its stock."""

    class Reason(models.TextChoices):
        """Why the stock changed."""

        SEED = "seed", "initial stock"
        ADMIN = "admin", "changed by staff"
        SALE = "sale", "sold"
        RELEASE = "release", "order not paid"
        CANCEL = "cancel", "order cancelled"
        RETURN = "return", "returned by a customer"
        LOSS = "loss", "written off"
        FEED = "feed", "partner feed"

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="movements")
    quantity = models.IntegerField(help_text="positive in, negative out")
    reason = models.CharField(max_length=7, choices=Reason.choices)
    reference = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["product", "reason"], name="movement_product_reason"),
            models.Index(fields=["reference"], name="movement_reference"),
            models.Index(
                fields=["reference", "product"],
                name="movement_of_return",
                condition=Q(reason__in=("return", "loss")),
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(quantity=0), name="movement_moves_something"),
            models.CheckConstraint(
                condition=~Q(reason__in=("sale", "loss")) | Q(quantity__lt=0),
                name="movement_sale_or_loss_goes_out",
            ),
            models.CheckConstraint(
                condition=~Q(reason__in=("release", "cancel", "return")) | Q(quantity__gt=0),
                name="movement_back_comes_in",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity:+d} {self.reason} {self.reference}".strip()


class HeldStock(models.Model):
    """Units that came back during a flash sale, and go on sale when it has ended.

    They are in no stock yet, so they have no movement.
    """

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="held_stock")
    quantity = models.PositiveIntegerField()
    reason = models.CharField(max_length=7, choices=StockMovement.Reason.choices)
    reference = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "held stock"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(quantity__gte=1), name="held_stock_positive"),
            models.CheckConstraint(
                condition=Q(reason__in=("cancel", "return")), name="held_stock_came_back"
            ),
            models.UniqueConstraint(fields=["reference", "product"], name="held_stock_once"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product}, {self.reference}"
