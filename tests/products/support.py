"""Forms and responses of a product's admin pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.messages import get_messages

from products.models import Category, Product, StockMovement


def change_url(product: Product) -> str:
    return f"/admin/products/product/{product.pk}/change/"


def form_data(product: Product, **changes: str) -> dict[str, str]:
    """Return the form data of a product's change page, with changes."""
    data = {
        "name": product.name,
        "slug": product.slug,
        "category": str(product.category_id),
        "description": product.description,
        "image": product.image,
        "price": str(product.price),
        "is_active": "on",
    }
    return {**data, **changes}


def unsaved(**changes: object) -> Product:
    """Return a valid product that is not saved."""
    category = Category.objects.get_or_create(name="Shelf", slug="shelf")[0]
    return Product(
        **{"category": category, "name": "Lamp", "slug": "lamp", "price": Decimal(10), **changes}
    )


def errors(response: Any) -> dict[str, list[str]]:
    """Return the errors of a form that is shown again."""
    assert response.status_code == 200
    form_errors: dict[str, list[str]] = response.context["adminform"].errors
    return {name: list(texts) for name, texts in form_errors.items()}


def messages_of(response: Any) -> list[str]:
    assert response.status_code == 302
    return [str(message) for message in get_messages(response.wsgi_request)]


def products_and_movements() -> list[list[Any]]:
    products: list[Any] = list(Product.objects.order_by("pk").values())
    return [products, list(StockMovement.objects.order_by("pk").values())]
