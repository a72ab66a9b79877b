"""What the stock lets be seen of itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from products import selectors
from retail.database import bounded_read
from retail.observability import catalogue

if TYPE_CHECKING:
    from retail.observability.instruments import Truth

logger = logging.getLogger("retail.products")


def read_stock() -> dict[Truth, dict[tuple[str, ...], float]]:
    """Return oversold units and products out of balance, from the ledger."""
    with bounded_read():
        unbalanced = selectors.unbalanced_products()
        oversold = selectors.oversold_units()
    if unbalanced:
        logger.error("event=stock.unbalanced", extra={"product_ids": unbalanced[:100]})
    return {
        catalogue.OVERSOLD_UNITS: {(): oversold},
        catalogue.INVARIANT_VIOLATIONS: {("ledger_equals_stock",): len(unbalanced)},
    }
