"""JSON: a list of records, an object that holds such a list, or one record in each line.

The standard library's scanner decodes one record after the other from a buffer, so that a single
record can be rejected for NaN, a name that is there twice, or a lone surrogate (docs/adr/0030).
"""

from __future__ import annotations

import codecs
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, BinaryIO

from partner_feeds.reading.formats import register
from partner_feeds.reading.problems import FeedError, Reject
from partner_feeds.reading.record import Record, Unusable
from partner_feeds.reading.unpack import CHUNK, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from partner_feeds.reading.options import Limits, Options

# A number at the end of the buffer may go on: `1.`, `1e`, `1e+`.
LOOK_AHEAD = 3
MOST_NAMES = 10  # to show of an object
MOST_NESTED = 200  # characters of the names around a cell
_BLANK = re.compile(r"[ \t\r\n]*")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Unusable:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        return Unusable("name_twice", f"The name {twice[:40]!r} is there twice.")
    return cells


def _number(text: str) -> Decimal | Unusable:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _constant(text)


def _constant(text: str) -> Unusable:
    return Unusable("not_a_number", f"{text[:30]} is not a number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_constant
)


class _Scanner:
    """Decodes values from a stream, one after the other."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._stream = stream
        self._most = limits.record_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._at = 0
        self._before = 0  # characters that have left the buffer
        self._ended = False

    def _more(self) -> bool:
        """Read on; return False at the end of the file."""
        if self._ended:
            return False
        chunk = self._stream.read(CHUNK)
        self._ended = not chunk
        self._before += self._at
        self._text = self._text[self._at :] + self._decoder.decode(chunk, final=self._ended)
        self._at = 0
        return True

    def peek(self) -> str:
        """Return the next character that is not blank; at the end of the file, an empty text."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """Take one of the expected characters. Raises FeedError for another."""
        found = self.peek()
        if not found:
            raise FeedError("cut", "The file is cut off: it ends in the middle of its JSON.")
        if found not in expected:
            raise self._broken(self._at)
        self._at += 1
        return found

    def name(self) -> str:
        """Take the name of a value. Raises FeedError for what is not one."""
        if self.peek() not in ('"', ""):
            raise self._broken(self._at)
        return str(self.value())

    def value(self) -> Any:
        """Take a value. Raises FeedError if it is not valid, not whole, or too large."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > self._most:
                    raise self._too_large(error) from error
                if not self._more():
                    raise self._broken(error.pos) from error
            except RecursionError as error:
                raise FeedError("too_deep", "The JSON is nested too deeply.") from error
            else:
                if len(self._text) - end < LOOK_AHEAD and self._more():
                    continue
                if end - self._at > self._most:
                    raise self._too_large()
                self._at = end
                return value

    def _too_large(self, error: json.JSONDecodeError | None = None) -> FeedError:
        if error and error.pos < len(self._text.rstrip()) and "Unterminated" not in error.msg:
            return self._broken(error.pos)
        return FeedError("row_too_large", f"A record has more than {self._most:,} characters.")

    def _broken(self, at: int) -> FeedError:
        text = self._text.rstrip()
        if self._ended and (at >= len(text) or not text.endswith(("]", "}"))):
            return FeedError("cut", "The file is cut off: it ends in the middle of its JSON.")
        return FeedError(
            "broken_json",
            f"The file is not valid JSON from character {self._before + at + 1:,} on: "
            f"{self._text[at : at + 20]!r}.",
        )


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


def _list(scanner: _Scanner, options: Options) -> Iterator[Record | Reject]:
    scanner.take("[")
    if scanner.peek() == "]":
        scanner.take("]")
        return
    number = 0
    while True:
        number += 1
        yield from _records(number, scanner.value(), options)
        if scanner.take(",]") == "]":
            return


def _wrapped(scanner: _Scanner, options: Options) -> Iterator[Record | Reject]:
    """Read an object that holds the list. A page of several is not the whole."""
    names: list[str] = []
    listed = False
    after = None
    scanner.take("{")
    if scanner.peek() == "}":
        raise FeedError("no_records", "The file is an empty JSON object.")
    while True:
        name = scanner.name()
        if len(names) < MOST_NAMES:
            names.append(name[:40])
        scanner.take(":")
        listed = listed or name in options.mapping.lists
        if name in options.mapping.lists and scanner.peek() == "[":
            yield from _list(scanner, options)
        else:
            value = scanner.value()
            after = value if name == "next" else after
        if scanner.take(",}") == "}":
            break
    if not listed:
        found = ", ".join(map(repr, names))
        wanted = " or ".join(map(repr, options.mapping.lists)) or "list that is mapped"
        raise FeedError("no_records", f"The file is an object with {found}, but has no {wanted}.")
    if after:
        raise FeedError("more_pages", "The file is one page of several: it names a next one.")


@register("json")
def read_json(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read a list, or the list `mapping.lists` of an object. Lines are numbers of records."""
    scanner = _Scanner(_utf8(file, options), options.limits)
    opening = scanner.peek()
    if opening not in ("[", "{"):
        raise FeedError("not_json", f"The file is not JSON: it begins with {opening!r}.")
    yield from (_list if opening == "[" else _wrapped)(scanner, options)
    if scanner.peek():
        raise FeedError("after_the_end", "There is more in the file after the end of its JSON.")


@register("jsonl")
def read_json_lines(file: BinaryIO, options: Options) -> Iterator[Record | Reject]:
    """Read one record in each line."""
    most = options.limits.record_bytes
    stream = _utf8(file, options)
    for number, line in enumerate(iter(lambda: stream.readline(most + 1), b""), 1):
        if len(line) > most:
            raise FeedError("row_too_large", f"Line {number} has more than {most:,} bytes.")
        if not line.strip():
            continue
        try:
            value = _DECODER.decode(line.decode("utf-8", "surrogateescape").strip())
        except (json.JSONDecodeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                raise FeedError("cut", "The file is cut off in its last line.") from error
            yield Reject(number, "broken_json", "The line is not valid JSON.", {})
            continue
        yield from _records(number, value, options)


def _utf8(file: BinaryIO, options: Options) -> BinaryIO:
    stream, marked = opened(file, options.limits)
    if marked == "utf-8-sig":
        stream.read(3)
    elif marked:
        raise FeedError("encoding", "JSON must be UTF-8, and the file is UTF-16.")
    return stream
