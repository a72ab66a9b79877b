"""WooCommerce's product export: a row for each simple product and each variation.

https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema. Parents of variations are
not sold. Decimals have the sign of the partner's shop. The regular price is read.
"""

from __future__ import annotations

from typing import Any

from partner_feeds.reading.mapping import Mapping, text_in

_SOLD = {"simple", "variation"}


def _product(cells: dict[str, Any]) -> dict[str, Any] | None:
    """Leave out what is not sold by itself; line breaks are written as two characters."""
    kinds = {kind.strip() for kind in (text_in(cells, "Type") or "simple").split(",")}
    if not kinds & _SOLD:
        return None
    changed = {}
    if description := text_in(cells, "Description"):
        changed["Description"] = description.replace("\\n", "\n")
    if categories := text_in(cells, "Categories"):
        changed["Categories"] = categories.split(",")[0].split(">")[-1].strip()
    return {**cells, **changed}


MAPPING = Mapping(
    name="woocommerce",
    fields={
        "sku": ("SKU",),
        "name": ("Name",),
        "description": ("Description",),
        "category": ("Categories",),
        "ean": ("GTIN, UPC, EAN, or ISBN",),
        "price": ("Regular price",),
        "stock": ("Stock",),
        "offered": ("Published",),
    },
    prepare=_product,
)
