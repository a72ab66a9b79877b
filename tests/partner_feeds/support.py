"""Read bytes as a partner's file, and mappings that only tests have."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from partner_feeds.reading.items import Item, read_items
from partner_feeds.reading.mapping import Mapping
from partner_feeds.reading.mappings import MAPPINGS
from partner_feeds.reading.options import Options
from partner_feeds.reading.problems import FeedError, Reject

if TYPE_CHECKING:
    from decimal import Decimal

SAMPLES = Path(__file__).parent / "samples"
PLAIN = MAPPINGS["plain"]
# What a partner of their own may be set to: data, no code.
OWN = {
    "amazon": Mapping(
        name="amazon",
        fields={
            "sku": ("item_sku",),
            "name": ("item_name",),
            "ean": ("external_product_id",),
            "price": ("standard_price",),
            "stock": ("quantity",),
        },
    ),
    "akeneo": Mapping(
        name="akeneo",
        fields={
            "sku": ("sku",),
            "name": ("name-de_DE", "name-en_US"),
            "price": ("price-EUR",),
            "offered": ("enabled",),
        },
    ),
    "magento": Mapping(
        name="magento",
        fields={"sku": ("sku",), "name": ("name",), "price": ("price",), "stock": ("qty",)},
    ),
    "variants": Mapping(
        name="variants",
        fields={
            "sku": ("variants.sku",),
            "name": ("title",),
            "price": ("variants.price",),
            "stock": ("variants.inventory_quantity",),
        },
        lists=("products",),
        variants="variants",
    ),
}


@dataclass
class Outcome:
    """What came out of a file."""

    items: list[Item]
    rejects: list[Reject]
    error: FeedError | None

    @property
    def code(self) -> str:
        return self.error.code if self.error else ""

    @property
    def rows(self) -> list[tuple[int, str, Decimal | None, int | None]]:
        return [(item.line, item.sku, item.price, item.stock) for item in self.items]

    @property
    def rejected(self) -> list[tuple[int, str]]:
        return [(reject.line, reject.code) for reject in self.rejects]


def options_for(file_format: str, mapping: str | Mapping = "plain", **settings: Any) -> Options:
    if isinstance(mapping, str):
        mapping = {**MAPPINGS, **OWN}[mapping]
    return Options(file_format, mapping, settings.pop("currency", "EUR"), **settings)


def read(
    data: bytes, file_format: str = "csv", mapping: str | Mapping = "plain", **settings: Any
) -> Outcome:
    return read_with(data, options_for(file_format, mapping, **settings))


def read_with(data: bytes, options: Options) -> Outcome:
    outcome = Outcome([], [], None)
    try:
        for row in read_items(io.BytesIO(data), options):
            if isinstance(row, Item):
                outcome.items.append(row)
            else:
                outcome.rejects.append(row)
    except FeedError as error:
        outcome.error = error
    return outcome
