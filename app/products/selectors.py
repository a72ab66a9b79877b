"""Read the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from products import search_index
from products.models import Category, Product
from products.search import fold

WORD_LIMIT = 8
MOST_FOUND = 500  # products that a search counts; of more, it shows the first


@dataclass(frozen=True)
class Found:
    """The products of a search, by name."""

    products: QuerySet[Product]
    count: int
    more: bool  # whether more than MOST_FOUND match


def shown_products(*, category: Category | None = None) -> QuerySet[Product]:
    """Return active products, by name."""
    products = Product.objects.filter(is_active=True).select_related("category")
    if category is not None:
        products = products.filter(category=category)
    return products.order_by("name", "pk")


def _words(query: str) -> list[str]:
    return fold(query).split()[:WORD_LIMIT]


def matches(query: str) -> Q:
    """Return the condition that every word of `query` is in a product's name or description.

    Case and accents make no difference.
    """
    words = _words(query)
    if not words:
        return Q(pk__in=())  # such as a lone accent
    condition = Q()
    for word in words:
        condition &= Q(search_text__contains=word)
    return condition


def matching_keys(products: QuerySet[Product], query: str) -> QuerySet[Product, int]:
    """Return the keys of those of `products` that match `query`, in the order of the index."""
    narrowed = search_index.narrowed(products, _words(query))
    return narrowed.filter(matches(query)).order_by().values_list("pk", flat=True)


def search_products(*, query: str, category: Category | None = None) -> Found:
    """Return active products that contain every word of `query`.

    Reading some hundred keys through the index and then their rows is fast. For a word that more
    products contain, the opposite is: reading products by name, until a page is full.
    """
    shown = shown_products(category=category)
    keys = list(matching_keys(shown, query)[: MOST_FOUND + 1])
    if len(keys) <= MOST_FOUND:
        return Found(shown.filter(pk__in=keys), len(keys), more=False)
    return Found(shown.filter(matches(query)), MOST_FOUND, more=True)


def flash_products() -> QuerySet[Product]:
    """Return products with an active flash sale, the soonest to end first."""
    now = timezone.now()
    return (
        shown_products()
        .filter(flash_starts_at__lte=now, flash_ends_at__gt=now)
        .order_by("flash_ends_at", "name")
    )
