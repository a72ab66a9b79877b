"""Catalogue pages."""

import uuid

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from products import selectors
from products.models import Category, Product

PAGE_SIZE = 12
FEATURED = 7
QUERY_LENGTH = 100


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


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """List products by search and category, one page at a time."""
    # PostgreSQL refuses NUL characters in text.
    query = request.GET.get("q", "").replace("\x00", "").strip()[:QUERY_LENGTH]
    slug = request.GET.get("category", "").replace("\x00", "")
    category = get_object_or_404(Category, slug=slug) if slug else None
    page = Paginator(selectors.shown_products(query=query, category=category), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "products/product_list.html",
        {
            "page_obj": page,
            "total": page.paginator.count,
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
