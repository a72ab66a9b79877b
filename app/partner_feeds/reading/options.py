"""How a partner's files are to be read. Nothing of it is guessed from a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partner_feeds.reading.mapping import Mapping

ENCODINGS = ("utf-8", "cp1252", "iso-8859-1", "iso-8859-15")
DECIMAL_SIGNS = (".", ",")
NO_DELIMITERS = ('"', "\r", "\n")


@dataclass(frozen=True)
class Limits:
    """Limits of one file. Beyond one of them, the file is refused."""

    packed_bytes: int = 512 * 1024**2
    unpacked_bytes: int = 2 * 1024**3
    ratio: int = 200  # unpacked bytes for each packed byte
    rows: int = 2_000_000
    record_bytes: int = 1024**2  # of one row
    record_lines: int = 500  # of one CSV row: a quote that is never closed swallows the rest
    price: Decimal = Decimal("99999999.99")
    stock: int = 1_000_000_000


@dataclass(frozen=True)
class Options:
    """A partner's format and habits.

    `encoding` applies to CSV and overrides what an XML file declares; a byte order mark wins.
    `delimiter` is found by the header if it is empty. `currency` is the shop's: prices in another
    are rejected. A currency symbol is accepted only if it is `symbol`.
    """

    format: str
    mapping: Mapping
    currency: str
    encoding: str = ""
    decimal_sign: str = "."
    delimiter: str = ""
    symbol: str = ""
    negative_stock_is_zero: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Raise ValueError for settings that no file could be read with."""
        if self.encoding and self.encoding not in ENCODINGS:
            raise ValueError(f"Encoding must be one of {', '.join(ENCODINGS)}.")
        if self.decimal_sign not in DECIMAL_SIGNS:
            raise ValueError("The decimal sign must be a point or a comma.")
        if len(self.delimiter) > 1 or self.delimiter in NO_DELIMITERS:
            raise ValueError("The delimiter must be one character, and no quote or line break.")
