"""Read the catalogue and the stock ledger."""

from __future__ import annotations

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from products.models import Category, Product

WORD_LIMIT = 8


def shown_products(*, query: str = "", category: Category | None = None) -> QuerySet[Product]:
    """Return active products; every word of `query` must be in the name or description."""
    products = Product.objects.filter(is_active=True).select_related("category").order_by("name")
    if category is not None:
        products = products.filter(category=category)
    for word in query.split()[:WORD_LIMIT]:
        products = products.filter(Q(name__icontains=word) | Q(description__icontains=word))
    return products


def flash_products() -> QuerySet[Product]:
    """Return products with an active flash sale, the soonest to end first."""
    now = timezone.now()
    return (
        shown_products()
        .filter(flash_price__isnull=False, flash_starts_at__lte=now, flash_ends_at__gt=now)
        .order_by("flash_ends_at", "name")
    )


def unbalanced_products() -> list[int]:
    """Return the ids of products whose stock differs from the sum of their movements."""
    return list(
        Product.objects.annotate(ledger=Coalesce(Sum("movements__quantity"), 0))
        .exclude(ledger=F("stock"))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
