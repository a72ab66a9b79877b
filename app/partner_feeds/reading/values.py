"""Keys, prices and stocks from cells. What does not fit exactly raises CellError."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from partner_feeds.reading.problems import CellError
from partner_feeds.reading.record import Unusable
from partner_feeds.reading.text import checked

if TYPE_CHECKING:
    from partner_feeds.reading.options import Limits, Options

SKU_LENGTH = 64
_CENT = Decimal("0.01")
# Thousands may be grouped by threes, with one kind of mark throughout.
_MARKS = "'\u2019\u00a0\u202f "
_NUMBERS = {
    sign: re.compile(
        rf"([+-]?)([0-9]+|[1-9][0-9]{{0,2}}(?:([{mark}{_MARKS}])[0-9]{{3}})(?:\3[0-9]{{3}})*)"
        rf"(?:\{sign}([0-9]+))?"
    )
    for sign, mark in ((".", ","), (",", "."))
}
_CODE = re.compile(r"(?:([A-Z]{3})\s*(.*?)|(.*?)\s*([A-Z]{3}))")
_NO_DIGIT = re.compile(r"[^0-9]")
_EXPONENT = re.compile(r"[0-9][.,]?[0-9]*\s*[eE]\s*\+?[0-9]+")
_FORMULA = re.compile(r'="([^"]*)"')
_YES = {"1", "true", "yes", "active", "publish", "published"}
_NO = {"0", "-1", "false", "no", "draft", "archived", "private", "unlisted"}
_EAN_LENGTHS = {8, 12, 13, 14}
_AVAILABLE = {"in stock"}
_NOT_AVAILABLE = {"out of stock", "preorder", "pre order", "backorder", "back order"}


def text_of(cell: Any) -> str:
    """Return a cell's text without blanks around it. Raises CellError for what is not text."""
    if isinstance(cell, str):
        return checked(cell).strip()
    if cell is None:
        return ""
    if isinstance(cell, Unusable):
        raise CellError(cell.code, cell.sentence)
    if isinstance(cell, list):
        raise CellError(
            "several_values", f"There are {len(cell)} values where there should be one."
        )
    raise CellError("not_text", f"{str(cell)[:30]} is not text.")


def _bare(text: str) -> str:
    """Return what a spreadsheet hides behind an apostrophe or in ="…"."""
    if text.startswith("'"):
        return text[1:].strip()
    formula = _FORMULA.fullmatch(text)
    return formula[1].strip() if formula else text


def sku_of(cell: Any) -> str:
    """Return a key. It stays text: `0012` and `12` are two keys, `1E10` is not a number."""
    if isinstance(cell, Decimal):
        raise CellError("key_not_text", f"The key {str(cell)[:30]} is a number; keys must be text.")
    sku = _bare(text_of(cell))
    if not sku:
        raise CellError("no_key", "The row has no key.")
    if len(sku) > SKU_LENGTH:
        raise CellError("key_too_long", f"The key has more than {SKU_LENGTH} characters.")
    if not sku.isprintable():
        raise CellError("control_character", "The key has an invisible character.")
    return sku


def ean_of(cell: Any) -> str:
    """Return an EAN, UPC or GTIN with its check digit, or an empty text for an empty cell.

    The check digit is GS1's: weights 3 and 1 from the right, to a multiple of ten.
    """
    if isinstance(cell, Decimal):
        raise CellError("ean", f"The EAN {str(cell)[:30]} is a number; leading zeros may be lost.")
    ean = _bare(text_of(cell))
    if not ean:
        return ""
    if _EXPONENT.fullmatch(ean):
        raise CellError("ean_exponent", f"A spreadsheet has rounded the EAN to {ean[:30]}.")
    ean = ean.replace("-", "").replace(" ", "")
    if _NO_DIGIT.search(ean) or len(ean) not in _EAN_LENGTHS:
        raise CellError("ean", f"The EAN {ean[:30]} does not have 8, 12, 13 or 14 digits.")
    weighted = sum(int(digit) * (3 if n % 2 else 1) for n, digit in enumerate(reversed(ean)))
    if weighted % 10:
        raise CellError("ean_check_digit", f"The check digit of the EAN {ean} is wrong.")
    return ean


def _number(text: str, sign: str) -> Decimal | None:
    """Return the number if the text is one with this decimal sign, else None."""
    found = _NUMBERS[sign].fullmatch(text)
    if not found:
        return None
    minus, whole, mark, part = found.groups()
    if mark:
        whole = whole.replace(mark, "")
    return Decimal(f"{minus}{whole}.{part or 0}")


def price_of(cell: Any, options: Options) -> Decimal | None:
    """Return a price with two decimals, in the shop's currency; None for an empty cell."""
    if isinstance(cell, Decimal):
        return _priced(cell, str(cell)[:30], options.limits)
    text = _bare(text_of(cell))
    if not text:
        return None
    shown = text[:30]
    if code := _CODE.fullmatch(text):
        currency, text = (code[1], code[2]) if code[1] else (code[4], code[3])
        if currency != options.currency:
            raise CellError(
                "currency", f"The price {shown!r} is in {currency}, not in {options.currency}."
            )
    elif options.symbol:
        bare = text.removeprefix(options.symbol)
        text = (bare if bare != text else text.removesuffix(options.symbol)).strip()
    number = _number(text, options.decimal_sign)
    if number is None:
        raise CellError(
            "price", f"{shown!r} is not a price with the decimal sign {options.decimal_sign!r}."
        )
    return _priced(number, shown, options.limits)


def _priced(number: Decimal, shown: str, limits: Limits) -> Decimal:
    if not number.is_finite() or number > limits.price:
        raise CellError("price_too_high", f"The price {shown} is above {limits.price:,}.")
    if number <= 0:
        raise CellError("price_not_positive", f"The price {shown} is not above 0.")
    rounded = number.quantize(_CENT)
    if rounded != number:
        raise CellError("price_decimals", f"The price {shown} has more than two decimals.")
    return rounded


def stock_of(cell: Any, options: Options) -> int | None:
    """Return a number of units; None for an empty cell."""
    if isinstance(cell, Decimal):
        number: Decimal | None = cell
        shown = str(cell)[:30]
    else:
        text = _bare(text_of(cell))
        if not text:
            return None
        number, shown = _number(text, options.decimal_sign), text[:30]
    if number is None or not number.is_finite():
        raise CellError("stock", f"{shown!r} is not a number of units.")
    if number > options.limits.stock:
        raise CellError("stock_too_high", f"The stock {shown} is above {options.limits.stock:,}.")
    if number < 0:
        if options.negative_stock_is_zero:
            return 0
        raise CellError("stock_negative", f"The stock {shown} is below 0.")
    if number != int(number):
        raise CellError("stock_not_whole", f"The stock {shown} is not a whole number.")
    return int(number)


def sold_out_of(cell: Any) -> bool | None:
    """Return whether the partner has none, by Google's words; None for an empty cell.

    What can only be ordered in advance is not in stock.
    """
    words = " ".join(text_of(cell).casefold().replace("_", " ").split())
    if not words:
        return None
    if words in _AVAILABLE | _NOT_AVAILABLE:
        return words not in _AVAILABLE
    raise CellError("availability", f"{words[:30]!r} is not a known availability.")


def offered_of(cell: Any) -> bool | None:
    """Return whether the partner offers the product; None for an empty cell."""
    if isinstance(cell, bool):
        return cell
    word = str(cell) if isinstance(cell, Decimal) else text_of(cell).casefold()
    if not word:
        return None
    if word in _YES | _NO:
        return word in _YES
    raise CellError("offered", f"{word[:30]!r} does not say whether the product is offered.")
