"""Catalogue pages."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from products import selectors
from products.models import Category, Product
from retail.throttling import throttle
from retail.web.client import client_key

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE_SIZE = 12
FEATURED = 7
QUERY_LENGTH = 100
SEARCH_SCOPE = "search"


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the home page: flash sales and featured products."""
    flash = list(selectors.flash_products()[:FEATURED])
    shown = {product.pk for product in flash}
    featured = selectors.shown_products().filter(stock__gt=0).exclude(pk__in=shown)[:FEATURED]
    return render(
        request,
        "products/home.html",
        {
            "flash_products": flash,
            "featured": featured,
            "categories": Category.objects.all(),
        },
    )


class _FoundPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator of products that a search has already counted."""

    def __init__(self, found: selectors.Found) -> None:
        super().__init__(found.products, PAGE_SIZE)
        self.count = found.count


def _page(
    request: HttpRequest, query: str, category: Category | None
) -> tuple[Page[Product], bool]:
    """Return the page asked for, and whether more products match than are counted."""
    number = request.GET.get("page")
    if not query:
        return Paginator(selectors.shown_products(category=category), PAGE_SIZE).get_page(
            number
        ), False
    found = selectors.search_products(query=query, category=category)
    return _FoundPaginator(found).get_page(number), found.more


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """List products by search and category, one page at a time."""
    # PostgreSQL refuses NUL characters in text.
    query = request.GET.get("q", "").replace("\x00", "").strip()[:QUERY_LENGTH]
    slug = request.GET.get("category", "").replace("\x00", "")
    category = get_object_or_404(Category, slug=slug) if slug else None
    if query:
        throttle(
            SEARCH_SCOPE,
            [client_key(request)],
            limit=settings.THROTTLE_SEARCH_LIMIT,
            seconds=60,
            user_id=None,
        )
    page, more = _page(request, query, category)
    return render(
        request,
        "products/product_list.html",
        {
            "page_obj": page,
            "total": page.paginator.count,
            "more": more,
            "query": query,
            "category": category,
            "categories": Category.objects.all(),
        },
    )


@require_safe
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a product."""
    product = get_object_or_404(
        Product.objects.select_related("category"), slug=slug, is_active=True
    )
    context = {"product": product, "form_key": uuid.uuid4()}
    return render(request, "products/product_detail.html", context)
