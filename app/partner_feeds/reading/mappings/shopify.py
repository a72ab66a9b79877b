"""Shopify's product export: a row for each variant, and rows that bring only an image.

https://help.shopify.com/en/manual/products/import-export/using-csv. Only a product's first row has
its facts. The key is the variant's SKU.
"""

from __future__ import annotations

from typing import Any

from partner_feeds.reading.mapping import Mapping, is_blank, text_in

_OPTIONS = ("Option1 Value", "Option2 Value", "Option3 Value")
_VARIANT = ("Variant SKU", "Variant Price", "Variant Inventory Qty", *_OPTIONS)
_NO_OPTION = "Default Title"


def _variant(cells: dict[str, Any]) -> dict[str, Any] | None:
    """Name a variant by its options; a row without one brings an image."""
    if all(is_blank(cells.get(name)) for name in _VARIANT):
        return None
    options = [option for name in _OPTIONS if (option := text_in(cells, name))]
    title = text_in(cells, "Title")
    if title and options and options != [_NO_OPTION]:
        return {**cells, "Title": f"{title} - {', '.join(options)}"}
    return cells


MAPPING = Mapping(
    name="shopify",
    fields={
        "sku": ("Variant SKU",),
        "name": ("Title",),
        "description": ("Body (HTML)",),
        "category": ("Type",),
        "ean": ("Variant Barcode",),
        "price": ("Variant Price",),
        "stock": ("Variant Inventory Qty",),
        "offered": ("Status", "Published"),
    },
    group="Handle",
    shared=("Title", "Body (HTML)", "Type", "Status", "Published"),
    prepare=_variant,
)
