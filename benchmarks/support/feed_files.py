"""Files of a partner's products, with invented words, in each format."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = 20261128
WORDS = 4_000
COLUMNS = ("sku", "name", "description", "category", "ean", "price", "stock")
Row = tuple[str, ...]


def _ean(number: int) -> str:
    digits = f"{400_000_000_000 + number}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def rows(count: int, *, broken_percent: int = 0) -> Iterator[Row]:
    """Yield rows; so many of each hundred have a price that is not accepted."""
    chance = random.Random(SEED)  # noqa: S311 - not for security
    letters = "abcdefghijklmnoprstuvwäöüé"
    words = ["".join(chance.choices(letters, k=chance.randint(3, 10))) for _ in range(WORDS)]
    for number in range(count):
        price = f"{chance.randint(100, 99_999) / 100:.2f}"
        yield (
            f"SKU-{number:07d}",
            " ".join(chance.choices(words, k=3)),
            " ".join(chance.choices(words, k=12)),
            "Benchmark",
            _ean(number),
            "call us" if number % 100 < broken_percent else price,
            str(chance.randint(1, 500)),
        )


def write_csv(path: Path, found: Iterator[Row]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS])
        csv.writer(file).writerows(found)


def write_json(path: Path, found: Iterator[Row]) -> None:
    """Write rows as a JSON list."""
    with path.open("w") as file:
        for number, row in enumerate(found):
            record = json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False)
            file.write(f"{',' if number else '['}\n{record}")
        file.write("\n]\n")


def write_xml(path: Path, found: Iterator[Row]) -> None:
    """Write rows as XML."""
    with path.open("w") as file:
        file.write("<products>\n")
        for row in found:
            cells = (
                f"<{name}>{escape(value)}</{name}>"
                for name, value in zip(COLUMNS, row, strict=True)
            )
            file.write(f"<product>{''.join(cells)}</product>\n")
        file.write("</products>\n")
