"""Rejected rows as CSV that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from partner_feeds.models import Ingestion

OURS = ("line", "code", "sentence")
MOST_COLUMNS = 200  # cells of further columns share one
OTHERS = "other columns"
CHUNK = 1000
_BOM = "\ufeff"
# Spreadsheets skip blanks, and characters that nobody sees, before they look for a formula.
_SKIPPED = " \t\r\n\v\f\0\u00a0\u200b\u200c\u200d\u2060\ufeff"
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")


def safe(cell: Any) -> str:
    """Return a cell's text; an apostrophe keeps what looks like a formula from being one."""
    text = "" if cell is None else str(cell)
    if text.startswith(_FORMULA) or text.lstrip(_SKIPPED).startswith(_FORMULA):
        return f"'{text}"
    return text


class _Written(io.StringIO):
    """Collects lines until they are taken."""

    def take(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def _cells(ingestion: Ingestion) -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
    rows = ingestion.rejects.order_by("line", "pk")
    for row in rows.iterator(chunk_size=CHUNK):
        yield row.by_name(), (row.line, row.code, row.sentence)


def _columns(ingestion: Ingestion) -> tuple[list[str], bool]:
    """Return the partner's columns in the order of their appearance, and whether that is all."""
    columns: dict[str, None] = {}
    for cells, _ in _cells(ingestion):
        for name in cells:
            if name not in columns and len(columns) >= MOST_COLUMNS:
                return list(columns), False
            columns[name] = None
    return list(columns), True


def lines_of(ingestion: Ingestion) -> Iterator[str]:
    """Yield the file: the partner's own columns, then the line, code and sentence.

    It reads the rows twice, because each may have other columns, and keeps none of them.
    """
    columns, is_all = _columns(ingestion)
    written = _Written()
    written.write(_BOM)
    table = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")

    def line(cells: Iterable[Any]) -> str:
        table.writerow([safe(cell) for cell in cells])
        return written.take()

    more = () if is_all else (OTHERS,)
    yield line([*columns, *more, *OURS])
    for cells, ours in _cells(ingestion):
        own = [cells.pop(name, "") for name in columns]
        rest = () if is_all else (json.dumps(cells, ensure_ascii=False) if cells else "",)
        yield line([*own, *rest, *ours])
