"""A long file is read without keeping its rows."""

from __future__ import annotations

import io
import tracemalloc
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from partner_feeds.reading.items import Item, read_items
from partner_feeds.reading.options import Limits
from partner_feeds.reading.problems import FeedError
from tests.partner_feeds.support import options_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROWS = 4000
TEXT = b"Boils water. " * 150  # so that all rows are more than the memory that may be used
ELEMENT = (
    b"<p><sku>%d</sku><name>Kettle %d</name><price>%s</price><description>%s</description></p>\n"
)
MEBIBYTE = 1024**2


class Generated(io.RawIOBase):
    """A file of parts that are made when they are read."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        super().__init__()
        self._parts = iter(parts)

    def read(self, size: int = -1, /) -> bytes:
        return b"".join(islice(self._parts, max(1, size // 2000)))


def generated(file_format: str, price: str) -> Iterator[bytes]:
    before, row, after = {
        "csv": (b"sku,name,price,description\n", b"%d,Kettle %d,%s,%s\n", b""),
        "json": (
            b"[{}",
            b',{"sku":"%d","name":"Kettle %d","price":"%s","description":"%s"}\n',
            b"]",
        ),
        "xml": (b"<r>", ELEMENT, b"</r>"),
    }[file_format]
    made = (row % (number, number, price.encode(), TEXT) for number in range(ROWS))
    return chain([before], made, [after])


def peak_of(file_format: str, parts: Iterable[bytes], limits: Limits) -> tuple[int, int, str]:
    """Return the number of items, the peak of memory while reading, and an error's code."""
    options = options_for(file_format, limits=limits)
    items, code = 0, ""
    list(read_items(io.BytesIO(b"".join(islice(generated("csv", "1.00"), 9))), options_for("csv")))
    tracemalloc.start()
    try:
        for row in read_items(cast("BinaryIO", Generated(parts)), options):
            items += isinstance(row, Item)
    except FeedError as error:
        code = error.code
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return items, peak, code


@pytest.mark.parametrize("file_format", ["csv", "json", "xml"])
def test_accepted_rows_are_not_kept(file_format: str) -> None:
    items, peak, code = peak_of(file_format, generated(file_format, "1.50"), Limits())
    assert (items, code) == (ROWS, "")
    assert peak < 5 * MEBIBYTE


def test_rejected_rows_are_not_kept() -> None:
    items, peak, code = peak_of("csv", generated("csv", "x"), Limits())
    assert (items, code) == (0, "no_good_row")
    assert peak < 5 * MEBIBYTE


@pytest.mark.parametrize(
    ("file_format", "before", "part"),
    [
        ("csv", b"sku,name\n1,", b"x"),
        ("csv", b"", b"x"),
        ("csv", b'sku,name\n1,"', b"x\n"),
        ("tsv", b"sku\tname\n1\t", b"x"),
        ("json", b'[{"sku":"', b"x"),
        ("json", b"[", b'["' + b"x" * 400 + b'"],'),
        ("json", b"", b" " * 500 + b"\n"),
        ("json", b'{"a":1', b',"b":"' + b"x" * 400 + b'"'),
        ("jsonl", b'{"sku":"', b"x"),
        ("xml", b"<r><p><sku>", b"x"),
        ("xml", b"<r><p>", b"<x/>"),
        ("xml", b"<r><p ", b"x"),
        ("xml", b"<r>", b"x\n"),
        ("xml", b"<r><!--", b"x"),
        ("xml", b"<", b"x"),
    ],
)
def test_what_does_not_end_is_not_kept(file_format: str, before: bytes, part: bytes) -> None:
    """A record, a cell, a line or a tag of 6 MiB, with a limit of 64 KiB for a record."""
    parts = chain([before], (part * (1024 // len(part)) for _ in range(6 * 1024)))
    limits = Limits(record_bytes=64 * 1024)
    items, peak, code = peak_of(file_format, parts, limits)
    assert (items, code != "") == (0, True)
    assert peak < 5 * MEBIBYTE
