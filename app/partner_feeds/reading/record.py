"""A row as its format gives it, before any of its cells is understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the line it begins in (its number in a JSON list), and its cells by column.

    A cell is text, a Decimal, True, False, None, Unusable, or a list if it appears repeatedly.
    """

    line: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Unusable:
    """A cell that the format allows and nobody should take. If it is used, its row is rejected."""

    code: str
    sentence: str
