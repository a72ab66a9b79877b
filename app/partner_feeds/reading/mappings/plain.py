"""Columns or elements named like the shop's own fields."""

from partner_feeds.reading.mapping import Mapping

MAPPING = Mapping(
    name="plain",
    fields={
        "sku": ("sku",),
        "name": ("name", "title"),
        "description": ("description",),
        "category": ("category",),
        "ean": ("ean", "gtin", "upc"),
        "price": ("price",),
        "stock": ("stock", "quantity"),
        "offered": ("active",),
    },
    elements=("product", "item", "p"),
    lists=("products", "items"),
)
