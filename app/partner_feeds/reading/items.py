"""Reads a whole file: what each row says of a product, or why the row is rejected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from partner_feeds.reading import values
from partner_feeds.reading.formats import reader_of
from partner_feeds.reading.mapping import is_blank, text_in, without_namespace
from partner_feeds.reading.problems import CellError, FeedError, Reject
from partner_feeds.reading.text import plain, plain_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from partner_feeds.reading.options import Options
    from partner_feeds.reading.record import Record

NAME_LENGTH = 120
CATEGORY_LENGTH = 60
DESCRIPTION_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Item:
    """What a row says of a product. None: the row says nothing of it, so it stays as it is."""

    line: int
    sku: str
    name: str | None
    description: str | None
    category: str | None
    ean: str | None
    price: Decimal | None
    stock: int | None
    offered: bool | None
    notes: tuple[str, ...]


class _Group:
    """Gives rows of one product the cells that only its first row has."""

    def __init__(self, options: Options) -> None:
        self._mapping = options.mapping
        self._name = ""
        self._shared: dict[str, Any] = {}

    def filled(self, cells: dict[str, Any]) -> dict[str, Any]:
        name = text_in(cells, self._mapping.group)
        if name and name == self._name:
            blank = {key: value for key, value in self._shared.items() if is_blank(cells.get(key))}
            return {**cells, **blank}
        self._name = name
        self._shared = {key: cells[key] for key in self._mapping.shared if key in cells}
        return cells


class _Fields:
    """The cells of one row by field."""

    def __init__(self, cells: dict[str, Any], options: Options) -> None:
        self._cells = cells
        names = tuple(cells)
        if twice := options.mapping.ambiguous(names):
            raise CellError("name_twice", f"The name {twice!r} is there twice.")
        self._columns = options.mapping.columns(names)
        if "sku" not in self._columns:
            key = without_namespace(options.mapping.fields["sku"][0])
            found = ", ".join(repr(without_namespace(name)) for name in names)[:200]
            raise CellError("no_key", f"The row has no {key!r}, but {found or 'nothing'}.")

    def __getitem__(self, field: str) -> Any:
        """Return the first cell of a field that is not blank; None if there is none."""
        for column in self._columns.get(field, ()):
            if not is_blank(cell := self._cells[column]):
                return cell
        return None


def _text(cell: Any, most: int, field: str, notes: list[str], *, lines: bool = False) -> str | None:
    """Return the text of a cell without HTML; None if nothing is left of it."""
    if cell is None:
        return None
    if not isinstance(cell, str):
        values.text_of(cell)
    text, note = (plain_lines if lines else plain)(cell, most)
    if note:
        notes.append(f"{field}: {note}")
    return text or None


def _first(cell: Any) -> Any:
    """Return the first of several values: a product may be in several categories."""
    return cell[0] if isinstance(cell, list) and cell else cell


def item_of(line: int, cells: dict[str, Any], options: Options) -> Item:
    """Return what a row says. Raises CellError for the first cell that is not accepted."""
    fields = _Fields(cells, options)
    notes: list[str] = []
    sku = values.sku_of(fields["sku"])
    stock = values.stock_of(fields["stock"], options)
    sold_out = values.sold_out_of(fields["availability"])
    return Item(
        line=line,
        sku=sku,
        name=_text(fields["name"], NAME_LENGTH, "name", notes),
        description=_text(
            fields["description"], DESCRIPTION_LENGTH, "description", notes, lines=True
        ),
        category=_text(_first(fields["category"]), CATEGORY_LENGTH, "category", notes),
        ean=values.ean_of(fields["ean"]) or None,
        price=values.price_of(fields["price"], options),
        stock=0 if sold_out else stock,
        offered=values.offered_of(fields["offered"]),
        notes=tuple(notes),
    )


class _Reasons:
    """Counts rejected rows by code, each with the sentence of the first one."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._sentences: dict[str, str] = {}

    def add(self, row: Reject) -> None:
        self._counts[row.code] += 1
        self._sentences.setdefault(row.code, row.sentence)

    def worst(self) -> str:
        """Return the most frequent reason in words."""
        if not self._counts:
            return ""
        code, _ = self._counts.most_common(1)[0]
        return f" The most frequent reason: {self._sentences[code]}"


def _understood(record: Record, cells: dict[str, Any], options: Options) -> Item | Reject:
    try:
        return item_of(record.line, cells, options)
    except CellError as error:
        return Reject(record.line, error.code, str(error), record.cells)


class Reader:
    """Reads a file's rows in their order, without keeping them. Iterate over it once.

    `records` is how many records of the file were read so far, also those that are no row. With
    `after`, so many are passed over without a look at their values: what was read of the same file
    before; `taken` says whether any row of them was good.
    """

    def __init__(
        self, file: BinaryIO, options: Options, *, after: int = 0, taken: bool = False
    ) -> None:
        self.records = 0
        self._file = file
        self._options = options
        self._after = after
        self._taken = taken
        self._group = _Group(options)
        self._reasons = _Reasons()

    def __iter__(self) -> Iterator[Item | Reject]:
        """Yield what each row says, or why it is rejected.

        Raises FeedError where the whole file is refused, perhaps after its last row: nothing read
        from it may be used then. The same key twice is for the caller to find.
        """
        most = self._options.limits.rows
        for record in reader_of(self._options.format)(self._file, self._options):
            self.records += 1
            if self.records > most:
                raise FeedError("too_many_rows", f"There are more than {most:,} rows.")
            row = self._read(record)
            if row is not None:
                yield row
        if not self.records:
            raise FeedError("no_rows", "The file has no rows.")
        if not self._taken:
            raise FeedError(
                "no_good_row",
                f"No row of {self.records:,} can be taken.{self._reasons.worst()}",
            )

    def _read(self, record: Record | Reject) -> Item | Reject | None:
        """Return what a record says; None if it is no row, or was read before."""
        options, passed_over = self._options, self.records <= self._after
        if isinstance(record, Reject):
            return None if passed_over else self._rejected(record)
        cells = self._group.filled(record.cells) if options.mapping.group else record.cells
        if passed_over:
            return None
        if options.mapping.prepare:
            prepared = options.mapping.prepare(cells)
            if prepared is None:
                return None
            cells = prepared
        read = _understood(record, cells, options)
        if isinstance(read, Reject):
            return self._rejected(read)
        self._taken = True
        return read

    def _rejected(self, row: Reject) -> Reject:
        self._reasons.add(row)
        return row


def read_items(file: BinaryIO, options: Options) -> Iterator[Item | Reject]:
    """Read a whole file: see Reader."""
    return iter(Reader(file, options))
