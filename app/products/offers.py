"""What a partner says of products, compared with what is stored. Changes nothing by itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.text import slugify

if TYPE_CHECKING:
    from decimal import Decimal

    from products.models import Product

# What an offer may change, besides the stock.
FIELDS = ("name", "description", "category_id", "ean", "price")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a partner says of one product. None: nothing, so it stays as it is."""

    sku: str
    name: str | None = None
    description: str | None = None
    category_id: int | None = None
    ean: str | None = None
    price: Decimal | None = None
    stock: int | None = None  # what the partner has
    offered: bool | None = None


@dataclass(slots=True)
class Taken:
    """What became of an offer: a result, and the values that it changed, old and new."""

    sku: str
    result: str  # created, updated, unchanged or rejected
    product_id: int = 0
    units: int = 0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    in_flash_sale: bool = False  # so its price and stock were left alone
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a feed changed in a product: values before and after, and the units that it added."""

    is_new: bool
    units: int
    before: dict[str, Any]
    after: dict[str, Any]


def slug_of(source: str, offer: Offer) -> str:
    """Return a slug that is the same for the same product of a partner, and for no other."""
    digest = hashlib.sha256(f"{source}\n{offer.sku}".encode()).hexdigest()[:12]
    return f"{slugify(offer.name or '')[:90].strip('-')}-{digest}".lstrip("-")


def compared(product: Product, offer: Offer, most_stock: int) -> Taken:
    """Return what the offer changes in a product, whose row must be locked.

    Stock changes by the difference to what the partner said before, so that sales in between are
    not undone. While a flash sale is active, price and stock stay as they are.
    """
    taken = Taken(offer.sku, "unchanged", product.pk, in_flash_sale=product.flash_active)
    wanted = {name: getattr(offer, name) for name in FIELDS}
    if offer.offered is not None and offer.offered != product.source_offered:
        wanted |= {"source_offered": offer.offered, "is_active": offer.offered}
    if taken.in_flash_sale:
        wanted["price"] = None
    elif offer.stock is not None and offer.stock != product.source_stock:
        wanted["source_stock"] = offer.stock
        stock = product.stock + offer.stock - (product.source_stock or 0)
        taken.units = min(max(stock, 0), most_stock) - product.stock
    for name, value in wanted.items():
        if value is not None and value != getattr(product, name):
            taken.before[name] = getattr(product, name)
            taken.after[name] = value
    if problem := _impossible(product, taken.after):
        return Taken(offer.sku, "rejected", product.pk, problem=problem)
    if taken.after or taken.units:
        taken.result = "updated"
    return taken


def _impossible(product: Product, after: dict[str, Any]) -> str:
    price = after.get("price", product.price)
    if "price" in after and product.flash_price is not None and price < product.flash_price:
        flash_price = product.flash_price
        return f"The price {price} is below the price {flash_price} of the product's flash sale."
    if after.get("is_active") and not price:
        return "The product has no price, so it cannot be shown."
    return ""


def missing(offer: Offer) -> str:
    """Return what a new product lacks, in words; an empty text if it can be created."""
    lacks = [name for name in ("name", "price") if getattr(offer, name) is None]
    return f"The product is new and has no {' and no '.join(lacks)}." if lacks else ""


def created(offer: Offer, new_category_id: int) -> Taken:
    """Return what a new product gets, which nothing is missing for."""
    after = {
        "name": offer.name,
        "description": offer.description or "",
        "category_id": offer.category_id or new_category_id,
        "ean": offer.ean or "",
        "price": offer.price,
    }
    return Taken(offer.sku, "created", units=offer.stock or 0, after=after)


def changed_since(product: Product, change: Change, most_stock: int) -> str:
    """Return why a change cannot be undone; an empty text if the product is as it left it."""
    if product.flash_active:
        return "A flash sale of it is running."
    for name, value in change.after.items():
        if getattr(product, name) != value:
            return f"Its {name.removesuffix('_id').replace('_', ' ')} was changed since."
    left = product.stock - change.units
    if left < 0 or left > most_stock or (change.is_new and left):
        return "Its units were sold or changed since."
    return ""
