"""CSV and TSV: a row of names, then rows of as many cells."""

from __future__ import annotations

import csv
import io
import re
from itertools import chain, count, islice
from typing import TYPE_CHECKING, BinaryIO, Literal

from partner_feeds.reading.formats import register
from partner_feeds.reading.problems import FeedError, Reject
from partner_feeds.reading.record import Record
from partner_feeds.reading.unpack import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partner_feeds.reading.options import Options

DELIMITERS = (",", ";", "\t", "|")
# What Excel writes and reads in the first line.
_TOLD = re.compile(r'sep=([^"])')
# A template's rows and labels may come before the names of the columns.
HEADER_WITHIN = 10


class _Lines:
    """Physical lines, counted, with a limit for those of one row."""

    def __init__(self, lines: Iterator[str], options: Options, began: int) -> None:
        self.lines = lines
        self.limits = options.limits
        self.number = began
        self.row_began = began
        self._size = 0

    def begin(self) -> int:
        """Begin a row after the last line; return the number of that line."""
        self.row_began, self._size = self.number, 0
        return self.number

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.number += 1
            self._size += len(line)
            if self.number - self.row_began > self.limits.record_lines:
                raise self.open_quote()
            if self._size > self.limits.record_bytes:
                raise self.too_large(self.limits.record_bytes)
            yield line

    def too_large(self, most: int) -> FeedError:
        """Return the error for a row of many characters; if it has many lines, for its quote."""
        if self.number > self.row_began + 1:
            return self.open_quote()
        return FeedError(
            "row_too_large",
            f"Line {self.number}, or a cell in it, has more than {most:,} characters.",
        )

    def open_quote(self) -> FeedError:
        return FeedError(
            "open_quote",
            f"A quote in the row that begins in line {self.row_began + 1} is not "
            "closed, so the rest of the file cannot be read.",
        )


def _text(file: BinaryIO, options: Options) -> Iterator[str]:
    """Return the lines, with their line ends; what cannot be decoded becomes a surrogate.

    What is longer than a row may be comes in pieces.
    """
    stream, marked = opened(file, options.limits)
    encoding = marked or options.encoding or "utf-8"
    # UTF-16 knows no surrogates as a way out; the replacement character is rejected as well.
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    text = io.TextIOWrapper(stream, encoding, errors, newline="")
    return iter(lambda: text.readline(options.limits.record_bytes + 1), "")


def _quoting(quotes: bool) -> Literal[0, 3]:
    return csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE


def _cells(line: str, delimiter: str, *, quotes: bool) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, quoting=_quoting(quotes)), [])
    except csv.Error:  # a cell of more than csv.field_size_limit()
        return []


def _header(lines: Iterator[str], options: Options, *, quotes: bool) -> tuple[list[str], str, int]:
    """Return the names of the columns, the delimiter and the number of lines up to the names.

    Raises FeedError if none of the first lines has them, or if a name that is used is there twice.
    """
    delimiters = (options.delimiter,) if options.delimiter else DELIMITERS
    seen: list[str] = []
    for number, line in enumerate(islice(lines, HEADER_WITHIN), 1):
        if number == 1 and (told := _TOLD.fullmatch(line.rstrip("\r\n"))):
            delimiters = (told[1],)
            continue
        for delimiter in delimiters:
            names = [name.strip() for name in _cells(line, delimiter, quotes=quotes)]
            if options.mapping.is_header(names):
                return _checked(names, options), delimiter, number
        if line.strip():
            seen.append(line.strip()[:60])
    wanted = " and ".join(options.mapping.wanted())
    found = f"The first line is {seen[0]!r}." if seen else "The lines are blank."
    raise FeedError(
        "no_header", f"None of the first {HEADER_WITHIN} lines has the columns {wanted}. {found}"
    )


def _checked(names: list[str], options: Options) -> list[str]:
    if twice := options.mapping.ambiguous(tuple(names)):
        raise FeedError("column_twice", f"There is more than one column {twice!r}.")
    return names


def _read(file: BinaryIO, options: Options, *, quotes: bool) -> Iterator[Record | Reject]:
    text = _text(file, options)
    names, delimiter, before = _header(text, options, quotes=quotes)
    lines = _Lines(text, options, before)
    rows = csv.reader(lines, delimiter=delimiter, quoting=_quoting(quotes), strict=quotes)
    while True:
        began = lines.begin()
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield _unreadable(error, lines, began)
            continue
        if not any(cells) or not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            yield _miscounted(began + 1, names, cells)
            continue
        yield Record(began + 1, dict(zip(names, cells, strict=True)))


def _miscounted(line: int, names: list[str], cells: list[str]) -> Reject:
    many = "" if len(cells) == 1 else "s"
    sentence = f"The row has {len(cells)} cell{many}, but there are {len(names)} columns."
    named = chain(names, map(str, count(len(names) + 1)))
    return Reject(line, "cell_count", sentence, dict(zip(named, cells, strict=False)))


def _unreadable(error: csv.Error, lines: _Lines, began: int) -> Reject:
    """Return the rejected row; raises FeedError if its quote is not closed before the end."""
    if "unexpected end" in str(error):
        raise lines.open_quote() from error
    if "field larger" in str(error):
        raise lines.too_large(csv.field_size_limit()) from error
    where = (
        f"line {began + 1}"
        if lines.number == began + 1
        else (f"lines {began + 1} to {lines.number}")
    )
    return Reject(began + 1, "quotes", f"The quotes in {where} do not match.", {})


@register("csv")
def read_csv(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read cells between delimiters; quotes may surround a cell."""
    return _read(file, options, quotes=True)


@register("tsv")
def read_tsv(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read cells between tabs or another delimiter; a quote is a character like any other."""
    return _read(file, options, quotes=False)
