"""JSON: a list of records, an object that holds such a list, or one record in each line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

from partner_feeds.reading.formats import register
from partner_feeds.reading.json_scanner import DECODER, Scanner, utf8_stream
from partner_feeds.reading.pages import NEXT
from partner_feeds.reading.problems import FeedError, Reject
from partner_feeds.reading.record import Record, Unusable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from partner_feeds.reading.options import Options

MOST_NAMES = 10  # to show of an object
MOST_NESTED = 200  # characters of the names around a cell


def _flat(cells: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the cells of a record; what is inside another object is named `outer.inner`."""
    flat: dict[str, Any] = {}
    for name, value in cells.items():
        if isinstance(value, dict) and len(prefix) + len(name) > MOST_NESTED:
            flat[prefix + name] = Unusable("too_deep", "There are too many objects in objects.")
        elif isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def _records(line: int, value: Any, options: Options) -> Iterator[Record | Reject]:
    """Give the record, or each of its variants with what the record says of all of them."""
    if isinstance(value, Unusable):
        yield Reject(line, value.code, value.sentence, {})
        return
    if not isinstance(value, dict):
        yield Reject(line, "not_a_record", "This is not an object with names and values.", {})
        return
    inner = options.mapping.variants
    variants = value.pop(inner, None) if inner else None
    common = _flat(value)
    if not isinstance(variants, list) or not variants:
        yield Record(line, common)
        return
    for variant in variants:
        if isinstance(variant, dict):
            yield Record(line, {**common, **_flat(variant, f"{inner}.")})
        else:
            yield Reject(line, "not_a_record", f"One of the {inner!r} is not an object.", common)


def _list(scanner: Scanner, options: Options) -> Iterator[Record | Reject]:
    for value in scanner.values():
        scanner.records += 1
        yield from _records(scanner.records, value, options)


def _wrapped(scanner: Scanner, options: Options) -> Generator[Record | Reject, None, bool]:
    """Read an object that holds the list; return whether it names a next page."""
    names: list[str] = []
    listed = False
    after = None
    for name in scanner.names():
        if len(names) < MOST_NAMES:
            names.append(name[:40])
        listed = listed or name in options.mapping.lists
        if name in options.mapping.lists and scanner.peek() == "[":
            yield from _list(scanner, options)
        else:
            value = scanner.value()
            after = value if name == NEXT else after
    if not names:
        raise FeedError("no_records", "The file is an empty JSON object.")
    if not listed:
        found = ", ".join(map(repr, names))
        wanted = " or ".join(map(repr, options.mapping.lists)) or "list that is mapped"
        raise FeedError("no_records", f"The file is an object with {found}, but has no {wanted}.")
    return bool(after)


@register("json")
def read_json(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read a list, or the list `mapping.lists` of an object. Lines are numbers of records.

    Pages may follow each other: each but the last must name a next one.
    """
    scanner = Scanner(utf8_stream(file, options), options.limits)
    opening = scanner.peek()
    if opening not in ("[", "{"):
        raise FeedError("not_json", f"The file is not JSON: it begins with {opening!r}.")
    if opening == "[":
        yield from _list(scanner, options)
    else:
        while (yield from _wrapped(scanner, options)):
            if not scanner.peek():
                raise FeedError(
                    "more_pages", "The file is one page of several: it names a next one."
                )
    if scanner.peek():
        raise FeedError("after_the_end", "There is more in the file after the end of its JSON.")


@register("jsonl")
def read_json_lines(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read one record in each line."""
    most = options.limits.record_bytes
    stream = utf8_stream(file, options)
    for number, line in enumerate(iter(lambda: stream.readline(most + 1), b""), 1):
        if len(line) > most:
            raise FeedError("row_too_large", f"Line {number} has more than {most:,} bytes.")
        if not line.strip():
            continue
        try:
            value = DECODER.decode(line.decode("utf-8", "surrogateescape").strip())
        except (json.JSONDecodeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                raise FeedError("cut", "The file is cut off in its last line.") from error
            yield Reject(number, "broken_json", "The line is not valid JSON.", {})
            continue
        yield from _records(number, value, options)
