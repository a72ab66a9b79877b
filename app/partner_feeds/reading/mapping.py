"""Which of a record's cells is what. A mapping is data: a partner may have one of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Mapping as Cells

FIELDS = (
    *("sku", "name", "description", "category", "ean", "price", "stock"),
    "availability",  # Google's words in place of a number of units
    "offered",  # whether the partner sells it: yes or no, active or draft
)

# Different rows of columns to remember: each JSON record may have its own.
MOST_KEPT = 1000
KEPT_UP_TO = 20_000  # characters of one such row
MOST_NAME = 1000  # characters; a longer name is no column of anybody
_NAMESPACE = re.compile(r"\{[^}]*\}")


@lru_cache(maxsize=4096)
def normal(name: str) -> str:
    """Return a column's name as it is compared: without case, `_` like a blank."""
    return " ".join(name.casefold().replace("_", " ").split())


def without_namespace(name: str) -> str:
    """Return an XML name or path as people write it."""
    return _NAMESPACE.sub("", name)


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def text_in(cells: Cells[str, Any], name: str) -> str:
    """Return a cell's text without blanks around it; an empty text if it is not text."""
    cell = cells.get(name)
    return cell.strip() if isinstance(cell, str) else ""


@dataclass(frozen=True)
class Mapping:
    """Columns by field, the first that is there and not blank. Compared by `normal`.

    `elements` names the records of an XML file (`{namespace}name`), `lists` the list in a JSON
    object, `variants` the list in each record whose entries are the products. Rows with
    the same value of `group` that follow each other are one product in several rows: they share
    the first one's cells of `shared`.
    `prepare` changes a row's cells before they are read, and returns None for a row that is no
    product.
    """

    name: str
    fields: Cells[str, tuple[str, ...]]
    elements: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    variants: str = ""
    group: str = ""
    shared: tuple[str, ...] = ()
    prepare: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
    _columns: dict[tuple[str, ...], dict[str, list[str]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Raise ValueError for unknown fields, or without a column for the key."""
        if unknown := sorted(set(self.fields) - set(FIELDS)):
            raise ValueError(f"Unknown fields: {', '.join(unknown)}.")
        if not self.fields.get("sku") or set(self.fields) == {"sku"}:
            raise ValueError("A mapping needs a column for sku, and one for another field.")

    def wanted(self) -> list[str]:
        """Return what the header must have, in words."""
        others = sorted({names[0] for name, names in self.fields.items() if name != "sku"})
        return [repr(self.fields["sku"][0]), f"one of {', '.join(map(repr, others))}"]

    def is_header(self, names: Iterable[str]) -> bool:
        """Whether the names include the key's column and that of another field."""
        found = self.columns(tuple(names))
        return "sku" in found and len(found) > 1

    def columns(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """Return the columns of each field, as they are spelled among `names`."""
        kept = self._columns.get(names)
        if kept is not None:
            return kept
        found = self._found(names)
        if sum(map(len, names)) <= KEPT_UP_TO:
            if len(self._columns) >= MOST_KEPT:
                self._columns.clear()
            self._columns[names] = found
        return found

    def _found(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        spelled: dict[str, list[str]] = {}
        for name in names:
            if len(name) <= MOST_NAME:
                spelled.setdefault(normal(name), []).append(name)
        found = {
            key: [name for wanted in of_field for name in spelled.get(normal(wanted), [])]
            for key, of_field in self.fields.items()
        }
        return {key: columns for key, columns in found.items() if columns}

    def ambiguous(self, names: tuple[str, ...]) -> str:
        """Return a column that is used and there more than once, or an empty text."""
        for columns in self.columns(names).values():
            spelled = [normal(column) for column in columns]
            if twice := [name for name in columns if spelled.count(normal(name)) > 1]:
                return twice[0]
        return ""
